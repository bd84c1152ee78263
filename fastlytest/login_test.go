package fastlytest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

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
