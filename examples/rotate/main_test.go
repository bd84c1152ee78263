package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly/examples/internal/demo/demotest"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func TestMain(m *testing.M) { demotest.Main(m) }

const oldID = "5sNpEx2UkYf9WdTa6mJv4G"

// assertRotated checks that the file has a new token that works, and that the
// old one is revoked.
func assertRotated(t *testing.T, srv *fastlytest.Server, out string) {
	t.Helper()
	content, err := os.ReadFile(out)
	require.NoError(t, err)
	tokens := srv.Tokens()
	created := tokens[len(tokens)-1]
	assert.Equal(t, created.AccessToken.Reveal(), string(content))
	assert.True(t, created.DeletedAt.IsZero(), "the new token is revoked")
	old, _ := srv.Token(oldID)
	assert.False(t, old.DeletedAt.IsZero(), "the old token is left")
	assert.Equal(t, old.Scopes, created.Scopes)
	assert.Equal(t, old.Services, created.Services)
}

func TestRotateReplacesTheToken(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	out := filepath.Join(t.TempDir(), "token")
	p := demotest.Command(t, srv, "-id", oldID, "-out", out, "-grace", "1ms").LogIn(t, srv)
	require.Equal(t, 0, p.Code(t), p.Err.String())
	assertRotated(t, srv, out)
	assert.Contains(t, p.Out.String(), "replaces token "+oldID)
	demotest.AssertNoSecret(t, srv, p.Out.String(), p.Err.String())
}

func TestRotateIsFinishedByTheNextRun(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	out := filepath.Join(t.TempDir(), "token")
	srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 400, Method: http.MethodDelete, Times: -1})
	p := demotest.Command(t, srv, "-id", oldID, "-out", out).LogIn(t, srv)
	assert.Equal(t, 1, p.Code(t))
	assert.Contains(t, p.Err.String(), "run again to finish")

	srv.ClearFaults()
	p = demotest.Command(t, srv, "-id", oldID, "-out", out).LogIn(t, srv)
	require.Equal(t, 0, p.Code(t), p.Err.String())
	assertRotated(t, srv, out)
}

func TestRotateDemo(t *testing.T) {
	t.Parallel()
	p := demotest.Command(t, nil, "-demo", "-out", filepath.Join(t.TempDir(), "token"))
	assert.Equal(t, 0, p.Code(t), p.Err.String())
	assert.Contains(t, p.Out.String(), "replaces token")
}

func TestRotateWithoutCredentials(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "token")
	demotest.AssertNeedsCredentials(t, "FASTLY_API_TOKEN", "-out", out)
	srv := demotest.Start(t)
	p := demotest.Command(t, srv, "-out", out)
	assert.Equal(t, 2, p.Code(t), p.Err.String())
	assert.Contains(t, p.Err.String(), "FASTLY_USERNAME")
	assert.NoFileExists(t, out)
}
