//go:build unix

package main

import (
	"net/http"
	"strings"
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

func TestMain(m *testing.M) { demotest.Main(m) }

// made are the tokens that the program made.
func made(srv *fastlytest.Server) (tokens []fastly.TokenCreatedResponse) {
	for _, token := range srv.Tokens() {
		if strings.HasPrefix(token.Name, "ci-token ") {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

func assertRevoked(t *testing.T, srv *fastlytest.Server) {
	t.Helper()
	assert.NotEmpty(t, made(srv))
	for _, token := range made(srv) {
		assert.False(t, token.DeletedAt.IsZero(), "%q is left", token.Name)
	}
}

func TestCommandHasATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	p := demotest.Command(t, srv, "-service", demo.ServiceWWW, "--", "env").LogIn(t, srv)
	require.Equal(t, 0, p.Code(t), p.Err.String())
	token := made(srv)[0]
	assert.Contains(t, p.Out.String(), "FASTLY_API_TOKEN="+token.AccessToken.Reveal())
	assert.NotContains(t, p.Out.String(), srv.Key().Reveal())
	assert.NotContains(t, p.Out.String(), "FASTLY_PASSWORD_FILE")
	assert.Equal(t, []string{demo.ServiceWWW}, token.Services)
	assertRevoked(t, srv)
}

func TestEmptyFlagsMakeNoWiderToken(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	for _, name := range []string{"-service", "-scope"} {
		p := demotest.Command(t, srv, name, "", "--", "env").LogIn(t, srv)
		assert.Equal(t, 2, p.Code(t))
		assert.Contains(t, p.Err.String(), name+" is empty")
	}
	assert.Empty(t, made(srv))
}

func TestExitCodeIsThatOfTheCommand(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	assert.Equal(t, 7, demotest.Command(t, srv, "--", "sh", "-c", "exit 7").LogIn(t, srv).Code(t))
	assert.Equal(t, 1, demotest.Command(t, srv, "--", "no-such-command").LogIn(t, srv).Code(t))
	assertRevoked(t, srv)
}

func TestSignalEndsTheCommandAndRevokesTheToken(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	p := demotest.Command(t, srv, "--", "sleep", "60").LogIn(t, srv)
	require.NoError(t, p.Start())
	require.Eventually(t, func() bool { return len(made(srv)) == 1 }, 30*time.Second, 2*time.Millisecond)
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	assert.Equal(t, 130, p.End(t), p.Err.String())
	assertRevoked(t, srv)
}

func TestLostResponseLeavesNoToken(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: http.MethodPost})
	p := demotest.Command(t, srv, "--", "true").LogIn(t, srv)
	assert.Equal(t, 0, p.Code(t), p.Err.String())
	assert.Len(t, made(srv), 2)
	assertRevoked(t, srv)
}

func TestTokenThatIsLeftIsNamed(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 403, Method: http.MethodDelete, Times: -1})
	p := demotest.Command(t, srv, "--", "true").LogIn(t, srv)
	assert.Equal(t, 1, p.Code(t))
	assert.Contains(t, p.Err.String(), "token "+made(srv)[0].ID+" is NOT revoked")
}

func TestCITokenDemo(t *testing.T) {
	t.Parallel()
	p := demotest.Command(t, nil, "-demo", "--", "sh", "-c", "echo ${#FASTLY_API_TOKEN} $FASTLY_API_URL")
	assert.Equal(t, 0, p.Code(t), p.Err.String())
	assert.Regexp(t, `^32 http://127\.0\.0\.1:\d+\n$`, p.Out.String())
}

func TestCITokenWithoutCredentials(t *testing.T) {
	t.Parallel()
	demotest.AssertNeedsCredentials(t, "FASTLY_API_TOKEN", "--", "echo", "it ran")
	srv := demotest.Start(t)
	p := demotest.Command(t, srv, "--", "echo", "it ran")
	assert.Equal(t, 2, p.Code(t))
	assert.Contains(t, p.Err.String(), "FASTLY_USERNAME")
	assert.Empty(t, srv.Requests())
}
