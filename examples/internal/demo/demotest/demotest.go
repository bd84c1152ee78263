// Package demotest has what the tests of the example programs share.
package demotest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// Main runs a package's tests in an environment that leads to no real account,
// removes what [Build] has built, and fails if they leave a goroutine behind.
func Main(m *testing.M) {
	for _, name := range demo.Vars {
		if err := os.Unsetenv(name); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(built.dir); err != nil {
			panic(err)
		}
		os.Exit(code)
	}))
}

// Impatient is a client option that makes retries take next to no time.
func Impatient() fastly.Option {
	return fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 2, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
}

// Start starts [demo.Start]'s server, until the end of the test.
func Start(t testing.TB, opts ...fastlytest.Option) *fastlytest.Server {
	srv := demo.Start(opts...)
	t.Cleanup(srv.Close)
	return srv
}

// AssertNoSecret looks for each access token that srv ever had.
func AssertNoSecret(t testing.TB, srv *fastlytest.Server, texts ...string) {
	t.Helper()
	for _, token := range srv.Tokens() {
		for _, text := range texts {
			assert.NotContains(t, text, token.AccessToken.Reveal(), "the access token of %q is shown", token.Name)
		}
	}
}

// AssertFits checks that no line takes more columns than a terminal has.
func AssertFits(t testing.TB, columns int, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		assert.LessOrEqual(t, demo.Width(strings.TrimSuffix(line, "\n")), columns, "too wide: %s", line)
	}
}

// AssertHelp checks what -h of a program shows: what it is for in one line, how
// it is called, its flags, the given one among them, and its exit codes.
func AssertHelp(t testing.TB, text, program, flag string) {
	t.Helper()
	purpose, rest, _ := strings.Cut(text, "\n\n")
	assert.NotEmpty(t, purpose)
	assert.NotContains(t, purpose, "\n", "the purpose takes more than a line")
	for _, part := range []string{"usage: " + program + " ", "\nFlags:\n", "\n  " + flag + "\n", "\nExit codes:\n  "} {
		assert.Contains(t, rest, part)
	}
}

var built struct {
	once sync.Once
	dir  string
	err  error
}

// Build compiles the program in the current directory, once for all tests, and
// returns its path.
func Build(t testing.TB) string {
	t.Helper()
	b := &built
	binary := func() string { return filepath.Join(b.dir, "program.exe") }
	b.once.Do(func() {
		if b.dir, b.err = os.MkdirTemp("", "demotest-*"); b.err != nil {
			return
		}
		// Not by the context of one of the tests, which may end before.
		out, err := exec.CommandContext(context.Background(), "go", "build", "-o", binary(), ".").CombinedOutput() //nolint:gosec // a path of its own
		if err != nil {
			b.err = fmt.Errorf("go build: %w: %s", err, out)
		}
	})
	require.NoError(t, b.err)
	return binary()
}

// Process is a program that was built, and its output.
type Process struct {
	*exec.Cmd
	Out, Err bytes.Buffer
}

// Command prepares a run of the binary against srv, as if that was the real
// API; without credentials if srv is nil. It is killed if it takes too long.
func Command(t testing.TB, srv *fastlytest.Server, binary string, args ...string) *Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	p := &Process{Cmd: exec.CommandContext(ctx, binary, args...)}
	p.Stdout, p.Stderr = &p.Out, &p.Err
	p.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "FASTLY_") })
	if srv != nil {
		p.Env = append(p.Env, "FASTLY_API_TOKEN="+srv.Key().Reveal(), "FASTLY_API_URL="+srv.URL)
	}
	return p
}

// Code runs the process to its end and returns its exit code.
func (p *Process) Code(t testing.TB) int {
	t.Helper()
	require.NoError(t, p.Start())
	return p.End(t)
}

// End waits for the end of the process that was started, and returns its exit
// code.
func (p *Process) End(t testing.TB) int {
	t.Helper()
	err := p.Wait()
	require.NotNil(t, p.ProcessState, "wait: %v", err)
	return p.ProcessState.ExitCode()
}
