package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// build compiles the program, once for all tests, and returns its path.
func build(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "fastly-token-test-*"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "fastly-token.exe")
		// Not by the context of one of the tests, which may end before.
		out, err := exec.CommandContext(context.Background(), "go", "build", "-o", built.path, ".").CombinedOutput() // #nosec G204 -- a path of its own
		if err != nil {
			built.err = fmt.Errorf("go build: %w: %s", err, out)
		}
	})
	require.NoError(t, built.err)
	return built.path
}

// process is the program in a process of its own.
type process struct {
	*exec.Cmd
	stdout, stderr lockedBuffer
}

// command prepares a process in the site's environment. It is killed if it takes
// too long.
func (s *site) command(args ...string) *process {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	s.t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, build(s.t), args...)} // #nosec G204 -- what was built
	p.Env, p.Dir = s.env, s.dir
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	return p
}

// end waits for the end of the process and returns its exit code.
func (p *process) end(s *site) int {
	s.t.Helper()
	err := p.Wait()
	require.NotNil(s.t, p.ProcessState, "wait: %v", err)
	s.check(outcome{out: p.stdout.String()}, p.Args[1:])
	return p.ProcessState.ExitCode()
}

// lockedBuffer is an output that can be looked at while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// waitFor waits until text was written.
func (b *lockedBuffer) waitFor(t testing.TB, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(b.String(), text) }, 5*time.Minute, 2*time.Millisecond, "want %q", text)
}
