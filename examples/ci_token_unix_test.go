//go:build unix

package examples_test

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func assertRevoked(t *testing.T, a *account) {
	t.Helper()
	assert.NotEmpty(t, a.made())
	for _, token := range a.made() {
		assert.False(t, token.DeletedAt.IsZero(), "%q is left", token.Name)
	}
}

func TestCommandHasATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	p := a.command(t, "ci-token", "--", "sh", "-c", "env >environment")
	require.Equal(t, 0, p.run(t, a), p.err.String())
	env := a.read(t, "environment")
	token := a.made()[0]
	assert.Contains(t, env, "FASTLY_API_TOKEN="+token.AccessToken.Reveal())
	assert.Contains(t, env, "FASTLY_API_URL="+a.URL)
	assert.NotContains(t, env, a.Key().Reveal())
	assert.NotContains(t, env, "FASTLY_PASSWORD_FILE")
	assert.Equal(t, []string{service}, token.Services)
	assert.Equal(t, fastly.Scopes{fastly.ScopePurgeSelect}, token.Scopes)
	assert.WithinDuration(t, time.Now().Add(15*time.Minute), token.ExpiresAt, time.Minute)
	assertRevoked(t, a)
}

func TestCommandHasATokenAlthoughItsUserHasTwoFactorAuthentication(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	ada := a.AddUser(fastlytest.User{OTP: "314159"})
	p := a.command(t, "ci-token", "--", "true")
	p.set("FASTLY_API_TOKEN="+a.AddToken(ada.ID, fastly.TokenCreatedResponse{}).AccessToken.Reveal(),
		"FASTLY_USERNAME="+ada.Login, "FASTLY_PASSWORD_FILE="+a.file(t, "hers", ada.Password), "FASTLY_OTP_FILE="+a.file(t, "code", ada.OTP+"\n"))
	assert.Equal(t, 0, p.run(t, a), p.err.String())
	require.Len(t, a.made(), 2)
	assert.False(t, a.made()[1].DeletedAt.IsZero(), "it is left")
}

func TestExitCodeIsThatOfTheCommand(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	assert.Equal(t, 7, a.command(t, "ci-token", "sh", "-c", "exit 7").run(t, a))
	assert.Equal(t, 1, a.command(t, "ci-token", "no-such-command").run(t, a))
	assertRevoked(t, a)
	assert.Equal(t, 1, a.command(t, "ci-token").run(t, a), "there is no command")
}

func TestSignalEndsTheCommandAndRevokesTheToken(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	p := a.command(t, "ci-token", "sleep", "60")
	require.NoError(t, p.Start())
	require.Eventually(t, func() bool { return len(a.made()) == 1 }, 30*time.Second, 2*time.Millisecond)
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	assert.Equal(t, 1, p.end(t, a), p.err.String())
	assertRevoked(t, a)
}

func TestLostResponseLeavesNoToken(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: http.MethodPost})
	p := a.command(t, "ci-token", "true")
	assert.Equal(t, 0, p.run(t, a), p.err.String())
	assert.Len(t, a.made(), 2)
	assertRevoked(t, a)
}

func TestTokenThatIsLeftIsNamed(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 403, Method: http.MethodDelete, Times: -1})
	for command, code := range map[string]int{"true": 1, "false": 1} {
		p := a.command(t, "ci-token", command)
		assert.Equal(t, code, p.run(t, a))
		assert.Contains(t, p.err.String(), "token \""+a.made()[len(a.made())-1].ID+"\" is NOT revoked")
	}
}
