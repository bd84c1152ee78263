package fastlytest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/fastly-tokens/fastly"
)

// endpoints is a request for each, of which a right one would be applied.
func endpoints(a *api) map[string]func(mods ...mod) reply {
	send := func(method, path string, own ...mod) func(...mod) reply {
		return func(mods ...mod) reply { return a.send(method, path, append(own, mods...)...) }
	}
	u := a.User()
	return map[string]func(...mod) reply{
		"create":        send("POST", "/tokens", form("name", "n")),
		"list":          send("GET", "/tokens"),
		"bulk":          send("DELETE", "/tokens", bulk("victim")),
		"get":           send("GET", "/tokens/victim"),
		"revoke":        send("DELETE", "/tokens/victim"),
		"get self":      send("GET", "/tokens/self"),
		"revoke self":   send("DELETE", "/tokens/self"),
		"list customer": send("GET", "/customer/"+u.CustomerID+"/tokens"),
		"sudo":          send("POST", "/sudo", form("username", u.Login, "password", u.Password)),
	}
}

func TestScopesOfAKeyLimitItsEndpoints(t *testing.T) {
	t.Parallel()
	const (
		notAuthorized = "You are not authorized to perform this action"
		readOnly      = "Read only tokens are not allowed to access this endpoint."
	)
	all := map[string]int{
		"create": 200, "list": 200, "bulk": 204, "get": 200, "revoke": 204,
		"get self": 200, "revoke self": 204, "list customer": 200, "sudo": 200,
	}
	read := map[string]int{"list": 200, "get": 200, "get self": 200, "list customer": 200}
	self := map[string]int{"get self": 200}
	for _, tc := range []struct {
		scopes fastly.Scopes
		can    map[string]int
		msg    string
	}{
		{fastly.Scopes{"global"}, all, ""},
		{fastly.Scopes{"purge_all", "global"}, all, ""},
		{fastly.Scopes{"global:read"}, read, readOnly},
		{fastly.Scopes{"purge_all", "global:read"}, read, readOnly},
		{fastly.Scopes{"purge_all"}, self, notAuthorized},
		{fastly.Scopes{"purge_select", "purge_all"}, self, notAuthorized},
		{fastly.Scopes{"root"}, self, notAuthorized}, // what it allows is not known
		{fastly.Scopes{"unheard:of"}, self, notAuthorized},
	} {
		for name := range all {
			t.Run(tc.scopes.String()+" "+name, func(t *testing.T) {
				t.Parallel()
				a := newAPI(t, WithoutSudo())
				a.token(a.User().ID, "victim")
				k := a.token(a.User().ID, "key", tc.scopes...)
				r := endpoints(a)[name](key(k))
				if want := tc.can[name]; want != 0 {
					assert.Equal(t, want, r.status, r.body)
				} else {
					assertProblem(t, r, 403, tc.msg)
					assert.Equal(t, tc.msg, decode[map[string]string](t, r)["msg"])
				}
			})
		}
	}
}

func TestMissingOrInvalidCredentialsAre401(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.User()
	a.token(u.ID, "victim")
	dead := a.AddToken(u.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		DeletedAt: start, ExpiresAt: start,
	}})
	none := header("X-None", "")
	for who, mods := range map[string][]mod{
		"none":     {none},
		"empty":    {key("")},
		"unknown":  {key("unknown")},
		"revoked":  {key(dead.AccessToken)},
		"twice":    {key(a.Key()), key(a.Key())},
		"basic":    {basic(u.Login, u.Password)},
		"bearer":   {header("Authorization", "Bearer "+a.Key().Reveal())},
		"password": {key("unknown"), basic(u.Login, u.Password)},
	} {
		for name, send := range endpoints(a) {
			// Without a key a create is about its other credentials.
			if name == "create" && (who == "none" || who == "empty" || who == "basic" || who == "bearer") {
				continue
			}
			t.Run(who+" "+name, func(t *testing.T) {
				t.Parallel()
				r := send(mods...)
				assertProblem(t, r, 401, "Provided credentials are missing or invalid")
				assert.Empty(t, r.header.Get("Fastly-RateLimit-Remaining"))
			})
		}
	}
}

func TestExpiredKeyIsA401ThatSaysSo(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo())
	a.token(a.User().ID, "victim")
	k := a.AddToken(a.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		ID: "3Riw", ExpiresAt: start.Add(-time.Hour),
	}}).AccessToken
	for name, send := range endpoints(a) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assertProblem(t, send(key(k)), 401, "Token 3Riw expired at 2030-05-06T06:30:00Z")
		})
	}
}

func TestTokenExpiresAtItsTime(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	k := a.AddToken(a.User().ID, fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{ID: "T1", ExpiresAt: start.Add(time.Hour)},
	}).AccessToken
	a.Advance(time.Hour - time.Second)
	assert.Equal(t, 200, a.send("GET", "/tokens/self", key(k)).status)
	assert.Contains(t, ids(t, a.send("GET", "/tokens", key(a.Key()))), "T1")
	a.Advance(time.Second)
	assertProblem(t, a.send("GET", "/tokens/self", key(k)), 401, "expired")
	assert.NotContains(t, ids(t, a.send("GET", "/tokens", key(a.Key()))), "T1")
	_, ok := a.Token("T1")
	assert.True(t, ok, "an expired token is remembered")
}

func TestRevokedKeyIsRejected(t *testing.T) {
	t.Parallel()
	a, keys := people(t)
	a.Advance(time.Hour)
	assert.Equal(t, 204, a.send("DELETE", "/tokens/self", key(keys["ann"])).status)
	assert.Equal(t, 401, a.send("DELETE", "/tokens/self", key(keys["ann"])).status)
	kept, ok := a.Token("annT")
	assert.True(t, ok, "a revoked token is remembered")
	assert.Equal(t, start.Add(time.Hour), kept.DeletedAt)
}

// There is no Basic authentication but for creates; a pair beside a key does
// no harm.
func TestBasicBesideAKeyIsIgnoredButForCreates(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	r := a.send("GET", "/tokens/self", key(a.Key()), basic("x", "y"))
	assert.Equal(t, 200, r.status, r.body)
}
