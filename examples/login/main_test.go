//go:build unix

package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
	"github.com/fastly-tokens/fastly/examples/internal/demo/demotest"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func TestMain(m *testing.M) { demotest.Main(m) }

// withoutKey takes the API token from the environment of a program.
func withoutKey(t *testing.T, srv *fastlytest.Server, args ...string) *demotest.Process {
	p := demotest.Command(t, nil, args...)
	p.Env = append(p.Env, "FASTLY_API_URL="+srv.URL)
	return p
}

func last(srv *fastlytest.Server) fastly.TokenCreatedResponse {
	tokens := srv.Tokens()
	return tokens[len(tokens)-1]
}

func TestLoginKeepsTheAccessToken(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	out := filepath.Join(t.TempDir(), "token")
	p := withoutKey(t, srv, "-out", out, "-scope", "purge_all").LogIn(t, srv)
	require.Equal(t, 0, p.Code(t), p.Err.String())
	content, err := os.ReadFile(out)
	require.NoError(t, err)
	assert.Equal(t, last(srv).AccessToken.Reveal(), string(content))
	assert.Equal(t, fastly.Scopes{fastly.ScopePurgeAll}, last(srv).Scopes)
	demotest.AssertNoSecret(t, srv, p.Out.String(), p.Err.String())
}

func TestLoginReadsThePasswordFromAPipeAndTheCodeFromAFile(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	code := filepath.Join(t.TempDir(), "code")
	require.NoError(t, os.WriteFile(code, []byte(demo.Ada().OTP), 0o600))
	p := withoutKey(t, srv, "-out", filepath.Join(t.TempDir(), "token"))
	p.Env = append(p.Env, "FASTLY_USERNAME="+demo.Ada().Login, "FASTLY_OTP_FILE="+code)
	p.Stdin = strings.NewReader(demo.Ada().Password + "\n")
	assert.Equal(t, 0, p.Code(t), p.Err.String())
}

func TestLoginOfUnknownOutcomeNamesTheToken(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: http.MethodPost})
	out := filepath.Join(t.TempDir(), "token")
	p := withoutKey(t, srv, "-out", out).LogIn(t, srv)
	assert.Equal(t, 1, p.Code(t))
	assert.Contains(t, p.Err.String(), last(srv).Name)
	assert.NoFileExists(t, out)
}

func TestLoginNeedsAPlaceForTheToken(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	there := filepath.Join(t.TempDir(), "there")
	require.NoError(t, os.WriteFile(there, nil, 0o600))
	for _, args := range [][]string{nil, {"-out", there}, {"-out", filepath.Join(there, "token")}, {"-out", filepath.Join(t.TempDir(), "no", "token")}} {
		p := withoutKey(t, srv, args...).LogIn(t, srv)
		assert.Equal(t, 2, p.Code(t))
		assert.Contains(t, p.Err.String(), "-out")
	}
	assert.Empty(t, srv.Requests())
}

func TestLoginDemo(t *testing.T) {
	t.Parallel()
	p := demotest.Command(t, nil, "-demo", "-out", filepath.Join(t.TempDir(), "token"))
	assert.Equal(t, 0, p.Code(t), p.Err.String())
	assert.Contains(t, p.Out.String(), `"global:read"`)
}

func TestLoginWithoutCredentials(t *testing.T) {
	t.Parallel()
	demotest.AssertNeedsCredentials(t, "FASTLY_USERNAME", "-out", filepath.Join(t.TempDir(), "token"))
}

func TestLoginWithoutAPasswordNamesTheVariable(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	p := withoutKey(t, srv, "-out", filepath.Join(t.TempDir(), "token"))
	p.Env = append(p.Env, "FASTLY_USERNAME="+srv.User().Login)
	assert.Equal(t, 2, p.Code(t))
	assert.Contains(t, p.Err.String(), "no password: EOF: set FASTLY_PASSWORD_FILE")
	assert.Empty(t, srv.Requests())
}

func TestLoginReadsNoPasswordFromATerminal(t *testing.T) {
	t.Parallel()
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0) // on Linux, macOS and the BSDs
	require.NoError(t, err)
	srv := demotest.Start(t)
	p := withoutKey(t, srv, "-out", filepath.Join(t.TempDir(), "token"))
	p.Env = append(p.Env, "FASTLY_USERNAME="+srv.User().Login)
	p.Stdin = tty
	assert.Equal(t, 2, p.Code(t))
	assert.Contains(t, p.Err.String(), "fastly-token has a prompt")
	assert.NoError(t, tty.Close())
}
