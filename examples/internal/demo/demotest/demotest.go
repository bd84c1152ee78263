// Package demotest holds what the tests of the example programs share.
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

	"github.com/fastly-tokens/fastly/examples/internal/demo"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// Main runs a package's tests without credentials in the environment, removes what
// [Command] has built, and fails if they leave a goroutine behind.
func Main(m *testing.M) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "FASTLY_") {
			if err := os.Unsetenv(name); err != nil {
				panic(err)
			}
		}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(built.dir); err != nil {
			panic(err)
		}
		os.Exit(code)
	}))
}

// Start starts [demo.Start]'s server, until the end of the test.
func Start(t testing.TB, opts ...fastlytest.Option) *fastlytest.Server {
	srv := demo.Start(opts...)
	t.Cleanup(srv.Close)
	return srv
}

// AssertNoSecret checks that no text holds an access token that srv ever had.
func AssertNoSecret(t testing.TB, srv *fastlytest.Server, texts ...string) {
	t.Helper()
	for _, token := range srv.Tokens() {
		for _, text := range texts {
			assert.NotContains(t, text, token.AccessToken.Reveal(), "the access token of %q is shown", token.Name)
		}
	}
}

var built struct {
	once sync.Once
	dir  string
	err  error
}

// build compiles the program in the current directory, once for all tests, and
// returns its path.
func build(t testing.TB) string {
	t.Helper()
	b := &built
	binary := func() string { return filepath.Join(b.dir, "program.exe") }
	b.once.Do(func() {
		if b.dir, b.err = os.MkdirTemp("", "demotest-*"); b.err != nil {
			return
		}
		// Without the context of one of the tests, which may end before.
		out, err := exec.CommandContext(context.Background(), "go", "build", "-o", binary(), ".").CombinedOutput() // #nosec G204 -- a path of its own
		if err != nil {
			b.err = fmt.Errorf("go build: %w: %s", err, out)
		}
	})
	require.NoError(t, b.err)
	return binary()
}

// Process is a program in a process of its own, and its output.
type Process struct {
	*exec.Cmd
	Out, Err bytes.Buffer
}

// Command prepares a run of the program in the current directory, with the API
// token of srv as if that were the real API, or without credentials if srv is nil.
// It is killed if it takes too long.
func Command(t testing.TB, srv *fastlytest.Server, args ...string) *Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	p := &Process{Cmd: exec.CommandContext(ctx, build(t), args...)} // #nosec G204 -- what was built
	p.Stdout, p.Stderr = &p.Out, &p.Err
	p.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "FASTLY_") })
	if srv != nil {
		p.Env = append(p.Env, "FASTLY_API_TOKEN="+srv.Key().Reveal(), "FASTLY_API_URL="+srv.URL)
	}
	return p
}

// LogIn adds the login of srv's user to the environment, the password in a file.
func (p *Process) LogIn(t testing.TB, srv *fastlytest.Server) *Process {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(path, []byte(srv.User().Password+"\n"), 0o600))
	p.Env = append(p.Env, "FASTLY_USERNAME="+srv.User().Login, "FASTLY_PASSWORD_FILE="+path)
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

// AssertNeedsCredentials checks that the program fails with code 2, names the
// variable that is missing, and prints no result.
func AssertNeedsCredentials(t *testing.T, variable string, args ...string) {
	t.Helper()
	p := Command(t, nil, args...)
	assert.Equal(t, 2, p.Code(t), "stderr: %s", p.Err.String())
	assert.Contains(t, p.Err.String(), variable)
	assert.Empty(t, p.Out.String())
}
