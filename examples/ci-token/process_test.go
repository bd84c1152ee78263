//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
	"github.com/fastly-tokens/fastly/examples/internal/demo/demotest"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// process is the program running, with an environment that is the caller's but
// for what the arguments add.
type process struct {
	*exec.Cmd
	stdout, stderr lockedBuffer
}

func command(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, demotest.Build(t), args...)} // #nosec G204 -- a path of the test's own
	p.Env = append(os.Environ(), env...)
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	// No terminal, wherever the tests run.
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return p
}

// code waits for the end.
func (p *process) code(t *testing.T) int {
	t.Helper()
	var exit *exec.ExitError
	if err := p.Wait(); !errors.As(err, &exit) {
		require.NoError(t, err)
		return 0
	}
	return exit.ExitCode()
}

// api is a server for a program in a process of its own.
func api(t *testing.T) (srv *fastlytest.Server, env []string) {
	t.Helper()
	srv = fastlytest.NewServer()
	t.Cleanup(srv.Close)
	return srv, []string{"FASTLY_API_TOKEN=" + srv.Key().Reveal(), "FASTLY_API_URL=" + srv.URL}
}

func alive(srv *fastlytest.Server) (tokens []fastly.TokenCreatedResponse) {
	for _, token := range srv.Tokens()[1:] {
		if token.DeletedAt.IsZero() {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

func TestProgramRevokesWhenSignalled(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			srv, env := api(t)
			p := command(t, env, "--", "sh", "-c", "echo ready; exec sleep 30")
			require.NoError(t, p.Start())
			p.stdout.waitFor(t, "ready")
			require.Len(t, alive(srv), 1)

			require.NoError(t, p.Process.Signal(sig))

			assert.Equal(t, 128+int(sig), p.code(t), p.stderr.String())
			assert.Empty(t, alive(srv), p.stderr.String())
		})
	}
}

func TestProgramGivesTheCommandNoParentToken(t *testing.T) {
	t.Parallel()
	srv, env := api(t)
	p := command(t, append(env, "FASTLY_API_KEY="+srv.Key().Reveal()), "--", "env")
	require.NoError(t, p.Start())

	require.Equal(t, 0, p.code(t), p.stderr.String())

	assert.NotContains(t, p.stdout.String(), srv.Key().Reveal())
	assert.Contains(t, p.stdout.String(), "FASTLY_API_TOKEN="+srv.Tokens()[1].AccessToken.Reveal())
	assert.Empty(t, alive(srv))
}

func TestProgramOutlivesItsLog(t *testing.T) {
	t.Parallel()
	srv, env := api(t)
	p := command(t, env, "--", "sh", "-c", "exit 9")
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, reader.Close())
	p.Stderr = writer
	require.NoError(t, p.Start())
	require.NoError(t, writer.Close())

	assert.Equal(t, 9, p.code(t), "want the command's code, not an end by SIGPIPE")
	assert.Len(t, srv.Tokens(), 2)
	assert.Empty(t, alive(srv))
}

func TestDemoShowsTheTokenOfItsCommand(t *testing.T) {
	t.Parallel()
	p := command(t, nil, "-demo", "-service", demo.ServiceWWW, "-scope", "purge_select")
	require.NoError(t, p.Start())

	require.Equal(t, 0, p.code(t), p.stderr.String())

	assert.Contains(t, p.stdout.String(), "purge_select on "+demo.ServiceWWW+", expires in 15 minutes")
	assert.Contains(t, p.stderr.String(), "revoked")
}

func TestWithoutCredentialsNoCommandRuns(t *testing.T) {
	t.Parallel()
	p := command(t, nil, "--", "echo", "it ran")
	require.NoError(t, p.Start())

	assert.Equal(t, exitFailed, p.code(t))

	assert.Empty(t, p.stdout.String())
	assert.Equal(t, "ci-token: there are no credentials: set FASTLY_API_TOKEN, or give -demo for made-up tokens\n", p.stderr.String())
}

func TestWithoutCredentialsAndCommandThereIsADemo(t *testing.T) {
	t.Parallel()
	p := command(t, nil)
	require.NoError(t, p.Start())

	require.Equal(t, 0, p.code(t), p.stderr.String())

	assert.Contains(t, p.stderr.String(), "FASTLY_API_TOKEN is not set")
	assert.Contains(t, p.stdout.String(), "purge_select on every service, expires in 15 minutes")
}

func TestProgramWithCredentialsWantsACommand(t *testing.T) {
	t.Parallel()
	srv, env := api(t)
	p := command(t, env)
	require.NoError(t, p.Start())

	assert.Equal(t, exitFailed, p.code(t))
	assert.Empty(t, srv.Requests())
}
