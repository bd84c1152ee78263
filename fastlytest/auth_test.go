package fastlytest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
		"current user":  send("GET", "/current_user"),
		"sudo":          send("POST", "/sudo", form("username", u.Login, "password", u.Password)),
	}
}

func TestScopesOfAKeyLimitItsEndpoints(t *testing.T) {
	t.Parallel()
	const (
		notAuthorized = "You are not authorized to perform this action"
		purge         = "Access denied to purge token"
		readOnly      = "Read only tokens are not allowed to access this endpoint."
	)
	all := map[string]int{
		"create": 200, "list": 200, "bulk": 204, "get": 200, "revoke": 204,
		"get self": 200, "revoke self": 204, "list customer": 200, "current user": 200, "sudo": 200,
	}
	read := map[string]int{"list": 200, "get": 200, "get self": 200, "list customer": 200, "current user": 200}
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
					return
				}
				msg := tc.msg
				if name == "current user" {
					msg = purge
				}
				assertProblem(t, r, 403, msg)
				assert.Equal(t, msg, decode[map[string]string](t, r)["msg"])
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
	assert.Equal(t, start.Add(time.Hour), kept.UpdatedAt)
}

// There is no Basic authentication but for creates; a pair beside a key does
// no harm.
func TestBasicBesideAKeyIsIgnoredButForCreates(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	r := a.send("GET", "/tokens/self", key(a.Key()), basic("x", "y"))
	assert.Equal(t, 200, r.status, r.body)
}

func TestCreateByLoginNeedsNoSudo(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	ann := a.AddUser(User{})
	made := a.made(a.send("POST", "/tokens", loggedIn(ann, "name", "n", "scope", "purge_all")))
	assert.Equal(t, ann.ID, made.UserID)
	assert.Equal(t, fastly.Scopes{"purge_all"}, made.Scopes)
	made = a.made(a.send("POST", "/tokens", basic(ann.Login, ann.Password), form("name", "n")))
	assert.Equal(t, ann.ID, made.UserID)
}

func TestCreateByLoginChangesNoOtherToken(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.User()
	k := a.token(u.ID, "T")
	before := a.Tokens()
	for _, credentials := range []mod{loggedIn(u), basic(u.Login, u.Password)} {
		require.Equal(t, 200, a.send("POST", "/tokens", credentials).status)
	}
	assert.Equal(t, before, a.Tokens()[:len(before)])
	assertProblem(t, a.send("POST", "/tokens", key(k)), 403, sudoMsg)
}

// What a create may carry, and the refusal that it gets without a key, with one,
// and with a confirmed one. An empty refusal is a token.
func TestCredentialsOfACreate(t *testing.T) {
	t.Parallel()
	const (
		sudo     = "You must POST /sudo"
		grant    = "invalid_grant"
		missing  = "invalid_request"
		rejected = "Provided credentials are missing or invalid"
	)
	status := map[string]int{sudo: 403, rejected: 401, grant: 400, missing: 400, "Bad request": 400}
	ann := User{ID: "ann", Login: "ann", Password: "p:w"}
	bob := User{ID: "bob", Login: "bob", Password: "bob"}
	for _, tc := range []struct {
		name                     string
		mods                     []mod
		without, with, confirmed string
	}{
		{"nothing", nil, missing, sudo, ""},
		{"form", []mod{loggedIn(ann)}, "", sudo, ""},
		{"form of another user", []mod{loggedIn(bob)}, "", sudo, grant},
		{"wrong form", []mod{form("username", "ann", "password", "x")}, grant, sudo, grant},
		{"form of nobody", []mod{form("username", "nobody", "password", "x")}, grant, sudo, grant},
		{"password alone", []mod{form("password", "p:w")}, missing, sudo, ""},
		{"wrong password alone", []mod{form("password", "x")}, missing, sudo, grant},
		{"username alone", []mod{form("username", "ann")}, missing, sudo, ""},
		{"empty form fields", []mod{form("username", "", "password", "")}, missing, sudo, ""},
		{"username twice", []mod{form("username", "ann", "username", "ann", "password", "p:w")}, "Bad request", "Bad request", "Bad request"},

		{"Basic", []mod{basic("ann", "p:w")}, "", sudo, ""},
		{"Basic, lower case", []mod{header("Authorization", "basic  YW5uOnA6dw==")}, "", sudo, ""},
		{"Basic of another user", []mod{basic("bob", "bob")}, "", sudo, grant},
		{"wrong Basic", []mod{basic("ann", "x")}, grant, sudo, grant},
		{"Basic, no password", []mod{basic("ann", "")}, missing, sudo, ""},
		{"Basic, no colon", []mod{header("Authorization", "Basic YW5u")}, missing, sudo, ""},
		{"Basic, not base64", []mod{header("Authorization", "Basic %%")}, missing, missing, missing},
		{"Authorization twice", []mod{basic("ann", "p:w"), header("Authorization", "Basic Og==")}, rejected, rejected, rejected},

		{"empty Basic pair", []mod{header("Authorization", "Basic Og==")}, missing, sudo, ""},
		{"Basic with nothing", []mod{header("Authorization", "Basic ")}, missing, sudo, ""},
		{"empty Authorization", []mod{header("Authorization", "")}, missing, sudo, ""},
		{"another scheme", []mod{header("Authorization", "Bearer x")}, missing, sudo, ""},
		{"cookie", []mod{header("Cookie", "a=b")}, missing, sudo, ""},

		{"form and empty Basic pair", []mod{loggedIn(ann), header("Authorization", "Basic Og==")}, "", sudo, ""},
		{"form and empty Authorization", []mod{loggedIn(ann), header("Authorization", "")}, "", sudo, ""},
		{"form and Basic", []mod{loggedIn(ann), basic("ann", "p:w")}, rejected, sudo, ""},
		{"form and wrong Basic", []mod{loggedIn(ann), basic("ann", "x")}, rejected, sudo, grant},
		{"form and another scheme", []mod{loggedIn(ann), header("Authorization", "Bearer x")}, rejected, sudo, ""},
		{"form and cookie", []mod{loggedIn(ann), header("Cookie", "a=b")}, rejected, sudo, ""},
		{"Basic and cookie", []mod{basic("ann", "p:w"), header("Cookie", "a=b")}, "", sudo, ""},
	} {
		for how, want := range map[string]string{"no key": tc.without, "empty key": tc.without, "key": tc.with, "confirmed key": tc.confirmed} {
			t.Run(tc.name+", "+how, func(t *testing.T) {
				t.Parallel()
				a := newAPI(t)
				a.AddUser(ann)
				a.AddUser(bob)
				mods := tc.mods
				switch how {
				case "empty key":
					mods = append([]mod{key("")}, mods...)
				case "key":
					mods = append([]mod{key(a.token("ann", "T"))}, mods...)
				case "confirmed key":
					k := a.token("ann", "T")
					a.confirm(k, ann)
					mods = append([]mod{key(k)}, mods...)
				}
				before := len(a.Tokens())
				r := a.send("POST", "/tokens", mods...)
				if want == "" {
					owner := "ann"
					if tc.name == "form of another user" || tc.name == "Basic of another user" {
						owner = "bob"
					}
					assert.Equal(t, owner, a.made(r).UserID)
					return
				}
				assertProblem(t, r, status[want], want)
				assert.Len(t, a.Tokens(), before)
			})
		}
	}
}

func TestInvalidKeyIsRejectedWhateverComesWithIt(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	assertProblem(t, a.send("POST", "/tokens", key("bad"), loggedIn(a.User())), 401, "missing or invalid")
	assertProblem(t, a.send("POST", "/tokens", key("bad"), basic(a.User().Login, a.User().Password)), 401, "missing or invalid")
}

func TestLockedUsersCreateNothing(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.AddUser(User{Locked: true})
	k := a.token(u.ID, "T")
	assertProblem(t, a.send("POST", "/tokens", loggedIn(u)), 400, "account_locked")
	assertProblem(t, a.send("POST", "/tokens", basic(u.Login, u.Password)), 400, "account_locked")
	assertProblem(t, a.send("POST", "/tokens", key(k)), 400, "account_locked")
}

// The official Go client confirms the key with the form of the create that
// follows, and creates with key and password.
func TestGoClientCreates(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.User()
	fields := loggedIn(u, "name", "n", "scope", "purge_select", "services[]", "A", "services[]", "B")
	require.Equal(t, 200, a.send("POST", "/sudo", key(a.Key()), fields).status)
	made := a.made(a.send("POST", "/tokens", key(a.Key()), fields))
	assert.Equal(t, fastly.Scopes{"purge_select"}, made.Scopes)
	assert.Equal(t, []string{"A", "B"}, made.Services)

	// The command-line tool has no user name.
	other := a.token(u.ID, "T")
	fields = form("name", "n", "password", u.Password)
	require.Equal(t, 200, a.send("POST", "/sudo", key(other), fields).status)
	require.Equal(t, 200, a.send("POST", "/tokens", key(other), fields).status)
}

// Generated clients confirm with JSON, and send an empty Basic pair with every
// create that has a key.
func TestGeneratedClientsCreate(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	r := a.send("POST", "/sudo", key(a.Key()), header("Accept", "application/vnd.api+json, application/problem+json"),
		body("application/json", `{"username":"`+a.User().Login+`","password":"`+a.User().Password+`"}`))
	require.Equal(t, 200, r.status, r.body)
	r = a.send("POST", "/tokens", key(a.Key()), basic("", ""), form("name", "n"))
	require.Equal(t, 200, r.status, r.body)
	r = a.send("POST", "/tokens", basic("", ""), loggedIn(a.User()))
	require.Equal(t, 200, r.status, r.body)
}
