//go:build unix

package main

import (
	"bufio"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly/examples/internal/demo/demotest"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func TestProcessLeavesNoToken(t *testing.T) {
	t.Parallel()

	t.Run("needs nothing", func(t *testing.T) {
		t.Parallel()
		p := demotest.Command(t, nil)
		assert.Equal(t, exitOK, p.Code(t), "stderr: %s", p.Err.String())
		assert.Contains(t, p.Out.String(), "embedded server")
		assert.NotContains(t, p.Out.String(), "\x1b", "colors without a terminal")
	})

	t.Run("Ctrl-C in a create", func(t *testing.T) {
		t.Parallel()
		srv := demotest.Start(t)
		// The second token is made, and its response never comes.
		srv.Inject(fastlytest.Fault{Kind: fastlytest.StallAfter, Method: http.MethodPost, Every: 2})
		before := len(srv.Tokens())
		p := demotest.Command(t, srv, "-write").LogIn(t, srv)
		require.NoError(t, p.Start())
		require.Eventually(t, func() bool { return len(srv.Tokens()) == before+2 }, 20*time.Second, 2*time.Millisecond)
		require.NoError(t, p.Process.Signal(os.Interrupt))
		assert.Equal(t, exitInterrupted, p.End(t))
		assertAsBefore(t, srv, 2)
		demotest.AssertNoSecret(t, srv, p.Out.String(), p.Err.String())
	})

	t.Run("reader of its output goes away", func(t *testing.T) {
		t.Parallel()
		srv := demotest.Start(t)
		p := demotest.Command(t, srv, "-write").LogIn(t, srv)
		p.Stdout = nil
		stdout, err := p.StdoutPipe()
		require.NoError(t, err)
		srv.Inject(fastlytest.Fault{Kind: fastlytest.Delay, Delay: 50 * time.Millisecond, Method: http.MethodPost, Every: 2})
		require.NoError(t, p.Start())
		_, err = bufio.NewReader(stdout).ReadString('\n')
		require.NoError(t, err)
		require.NoError(t, stdout.Close())
		assert.Contains(t, []int{exitFailed, exitInterrupted}, p.End(t))
		status, ok := p.ProcessState.Sys().(syscall.WaitStatus)
		require.True(t, ok)
		assert.False(t, status.Signaled(), "it died of %v, without a clean-up", status.Signal())
		for _, token := range srv.Tokens() {
			assert.False(t, isMine(token) && token.DeletedAt.IsZero(), "%q is left", token.Name)
		}
	})
}
