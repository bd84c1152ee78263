package facts_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/internal/facts"
)

// account returns a server and a probe with all that the checks need: a superuser
// with two-factor authentication and tokens of each kind, and another user.
func account(t *testing.T, others ...fastlytest.User) (*fastlytest.Server, *facts.Probe) {
	noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	srv := fastlytest.NewServer(fastlytest.WithRateLimit(200), fastlytest.WithClock(func() time.Time { return noon }))
	t.Cleanup(srv.Close)
	const secret = "GEZDGNBVGY3TQOJQ"
	user := srv.AddUser(fastlytest.User{Superuser: true, TOTPSecret: secret})
	other := srv.AddUser(append(others, fastlytest.User{})[0])
	add := func(userID, name string, scope fastly.Scope, age time.Duration, services ...string) fastly.TokenCreatedResponse {
		return srv.AddToken(userID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
			Name: name, Scopes: fastly.Scopes{scope}, Services: services, CreatedAt: noon.Add(-age),
		}})
	}
	key := add(user.ID, "key", fastly.ScopeGlobal, time.Hour)
	for hours := range 5 {
		add(user.ID, "old", fastly.ScopePurgeAll, time.Duration(hours+2)*time.Hour, "1AbCdEfGhIjKlMnOpQrStU", "2AbCdEfGhIjKlMnOpQrStU")
	}
	add(user.ID, "manage.fastly.com browser session", fastly.ScopeGlobal, time.Minute)
	auto := add("", "automation", fastly.ScopeGlobal, time.Minute)
	purge := add(user.ID, "purge", fastly.ScopePurgeSelect, time.Minute)
	otherKey := add(other.ID, "of another user", fastly.ScopeGlobal, time.Minute)

	var passed time.Duration
	wait := func(_ context.Context, d time.Duration) error {
		srv.Advance(d)
		passed += d
		return nil
	}
	return srv, &facts.Probe{
		URL: srv.URL, Name: "facts",
		Key: key.AccessToken.Reveal(), PurgeToken: purge.AccessToken.Reveal(), AutomationToken: auto.AccessToken.Reveal(),
		OtherKey: otherKey.AccessToken.Reveal(), Username: user.Login, Password: user.Password,
		Code: func(ctx context.Context) (string, error) {
			err := wait(ctx, 30*time.Second) // a code works once
			return fastlytest.TOTP(secret, noon.Add(passed)), err
		},
		Wait:  wait,
		Write: true, Sudo: true, Harmful: true,
	}
}

func TestServerIsAsTheFactsSay(t *testing.T) {
	t.Parallel()
	for _, otherIsSuperuser := range []bool{false, true} {
		_, p := account(t, fastlytest.User{Superuser: otherIsSuperuser})
		for _, g := range facts.Groups() {
			for _, f := range g.Facts {
				verdict, reason := f.Run(t.Context(), p)
				assert.Equal(t, facts.Holds, verdict, "%s: %s\n%s", f.ID, f.Says, reason)
			}
		}
	}
}

// active returns the names of the active tokens that checks made.
func active(srv *fastlytest.Server) (names []string) {
	for _, t := range srv.Tokens() {
		if strings.HasPrefix(t.Name, "facts ") && t.DeletedAt.IsZero() {
			names = append(names, t.Name)
		}
	}
	return names
}

func TestChecksLeaveNoTokenAfterCleanUp(t *testing.T) {
	t.Parallel()
	srv, p := account(t)
	p.Harmful = false
	// The response to this create is lost; the token can be found by its name.
	srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: "POST", Path: "/tokens", Every: 5})
	for _, g := range facts.Groups() {
		for _, f := range g.Facts {
			f.Run(t.Context(), p)
		}
	}
	require.NotEmpty(t, active(srv))
	left, sure := p.CleanUp(t.Context())
	assert.Empty(t, left)
	assert.True(t, sure)
	assert.Empty(t, active(srv))
}

func TestCleanUpNamesWhatIsLeft(t *testing.T) {
	t.Parallel()
	srv, p := account(t)
	for _, g := range facts.Groups() {
		if g.Title == "Creating tokens" {
			g.Facts[0].Run(t.Context(), p)
		}
	}
	srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 500, Method: "DELETE"})
	left, sure := p.CleanUp(t.Context())
	assert.True(t, sure)
	assert.Len(t, left, 1)
	for id, name := range left {
		made, _ := srv.Token(id)
		assert.Equal(t, made.Name, name)
	}
	left, _ = p.CleanUp(t.Context())
	assert.Empty(t, left)
}

func TestProbeWithoutCredentialsChangesNothing(t *testing.T) {
	t.Parallel()
	srv, all := account(t)
	for name, p := range map[string]*facts.Probe{
		"nothing":      {URL: all.URL, Write: true, Sudo: true, Harmful: true},
		"reads":        {URL: all.URL, Key: all.Key, Username: all.Username, Password: all.Password, Harmful: true},
		"no login":     {URL: all.URL, Key: all.Key, PurgeToken: all.PurgeToken, Write: true},
		"without sudo": {URL: all.URL, Key: all.Key, Username: all.Username, Password: all.Password, Code: all.Code, Wait: all.Wait, Write: true},
	} {
		srv.ResetRequests()
		for _, g := range facts.Groups() {
			for _, f := range g.Facts {
				verdict, reason := f.Run(t.Context(), p)
				assert.NotEqual(t, facts.DoesNotHold, verdict, "%s: %s: %s", name, f.ID, reason)
			}
		}
		for _, r := range srv.Requests() {
			assert.NotEqual(t, "/sudo", r.Path, name)
			assert.True(t, r.Method == http.MethodGet || name == "without sudo", "%s: %s %s", name, r.Method, r.Path)
		}
	}
}
