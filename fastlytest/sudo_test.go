package fastlytest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

const sudoMsg = "You must POST /sudo to access this endpoint"

func TestKeyAloneCreatesNoToken(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for range 2 {
		r := a.send("POST", "/tokens", key(a.Key()), form("name", "n"))
		assert.Equal(t, 403, r.status)
		assert.JSONEq(t, `{"msg":"`+sudoMsg+`"}`, r.body)
	}
	assert.Len(t, a.Tokens(), 1)
}

func TestSudoLetsAKeyCreateForFiveMinutes(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.confirm(a.Key(), a.User())
	create := func() reply { return a.send("POST", "/tokens", key(a.Key()), form("name", "n")) }
	assert.Equal(t, a.User().ID, a.made(create()).UserID)
	a.Advance(5*time.Minute - time.Second)
	assert.Equal(t, 200, create().status)
	a.Advance(time.Second)
	assertProblem(t, create(), 403, sudoMsg)
	a.confirm(a.Key(), a.User())
	assert.Equal(t, 200, create().status, "again")
}

func TestSudoConfirmsThatTokenOnly(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	other := a.token(a.User().ID, "other")
	self := func(k fastly.Secret) any {
		return decode[map[string]any](t, a.send("GET", "/tokens/self", key(k)))["sudo_expires_at"]
	}
	assert.Nil(t, self(a.Key()))
	a.confirm(a.Key(), a.User())
	assert.Equal(t, "2030-05-06T07:35:00Z", self(a.Key()))
	assert.Nil(t, self(other))
	assertProblem(t, a.send("POST", "/tokens", key(other)), 403, sudoMsg)

	made := a.made(a.send("POST", "/tokens", key(a.Key())))
	assert.Zero(t, made.SudoExpiresAt, "a new token is not confirmed")
	assertProblem(t, a.send("POST", "/tokens", key(made.AccessToken)), 403, sudoMsg)
}

// AddToken can add a token as POST /sudo leaves it.
func TestAddedTokenCanBeConfirmed(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	k := a.AddToken(a.User().ID, fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{SudoExpiresAt: start.Add(time.Second)},
	}).AccessToken
	assert.Equal(t, 200, a.send("POST", "/tokens", key(k)).status)
	a.Advance(time.Second)
	assertProblem(t, a.send("POST", "/tokens", key(k)), 403, sudoMsg)
}

func TestOnlyCreatesAskForSudo(t *testing.T) {
	t.Parallel()
	for name := range endpoints(newAPI(t)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t)
			a.token(a.User().ID, "victim")
			r := endpoints(a)[name](key(a.Key()))
			assert.Equal(t, name == "create", r.status == 403, r.body)
		})
	}
}

func TestWithoutSudoLetsAKeyCreate(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo())
	assert.Equal(t, 200, a.send("POST", "/tokens", key(a.Key())).status)
	assertProblem(t, a.send("POST", "/tokens", key(a.token(a.User().ID, "T", "purge_all"))), 403, "not authorized")
	assertProblem(t, a.send("POST", "/tokens"), 400, "invalid_request")
}

func TestSudoTakesJSONOrForm(t *testing.T) {
	t.Parallel()
	const formType = "application/x-www-form-urlencoded"
	for _, tc := range []struct {
		name, contentType, body string
		status                  int
		codeOrMsg               string
	}{
		{"JSON", "application/json", `{"username":"ann","password":"p w"}`, 200, ""},
		{"JSON, charset", "application/json; charset=utf-8", `{"username":"ann","password":"p w"}`, 200, ""},
		{"JSON, password alone", "application/json", `{"password":"p w"}`, 200, ""},
		{"JSON, null", "application/json", `{"username":null,"password":"p w","expiry_time":null}`, 200, ""},
		{"JSON, more members", "application/json", `{"password":"p w","name":7}`, 200, ""},
		{"form", formType, "username=ann&password=p+w", 200, ""},
		{"form, password alone", formType, "password=p+w", 200, ""},
		{"form without Content-Type", "", "password=p+w", 200, ""},
		{"form of the create to follow", formType,
			"name=n&password=p+w&scope=global&services%5B%5D=A&services%5B%5D=B&username=ann", 200, ""},

		{"no body", "application/json", "", 400, "Bad request"},
		{"empty object", "application/json", "{}", 400, "invalid_request"},
		{"no password", formType, "username=ann", 400, "invalid_request"},
		{"number", "application/json", `{"password":7}`, 400, "Bad request"},
		{"list", "application/json", `["p w"]`, 400, "Bad request"},
		{"broken", "application/json", `{"password":"p w"`, 400, "Bad request"},
		{"other case", "application/json", `{"Password":"p w"}`, 400, "invalid_request"},
		{"twice", formType, "password=p+w&password=p+w", 400, "Bad request"},
		{"other type", "text/plain", "password=p+w", 415, ""},

		{"wrong password", "application/json", `{"username":"ann","password":"x"}`, 403, "not authorized"},
		{"wrong password in a form", formType, "password=x", 403, "not authorized"},
		{"somebody else", formType, "username=bob&password=bob", 403, "not authorized"},
		{"nobody", formType, "username=nobody&password=p+w", 403, "not authorized"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t)
			k := a.token(a.AddUser(User{Login: "ann", Password: "p w"}).ID, "T")
			a.AddUser(User{Login: "bob", Password: "bob"})
			r := a.send("POST", "/sudo", key(k), body(tc.contentType, tc.body))
			kept, _ := a.Token("T")
			if tc.status != 200 {
				assertProblem(t, r, tc.status, tc.codeOrMsg)
				assert.Zero(t, kept.SudoExpiresAt)
				return
			}
			require.Equal(t, 200, r.status, r.body)
			assert.JSONEq(t, `{"expiry_time":"2030-05-06T07:35:00+00:00"}`, r.body)
			assert.Equal(t, start.Add(5*time.Minute), kept.SudoExpiresAt)
		})
	}
}

func TestSudoNeedsAKey(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	assertProblem(t, a.send("POST", "/sudo", loggedIn(a.User())), 401, "missing or invalid")
	r := a.send("POST", "/sudo", basic(a.User().Login, a.User().Password), loggedIn(a.User()))
	assertProblem(t, r, 401, "missing or invalid")
}

func TestSudoLastsUntilItsExpiryTime(t *testing.T) {
	t.Parallel()
	for text, until := range map[string]time.Time{
		"2030-05-06T07:31:00Z":      start.Add(time.Minute),
		"2030-05-06T09:31:00+02:00": start.Add(time.Minute),
		"2030-05-06T07:45:00Z":      start.Add(15 * time.Minute),
		"":                          start.Add(5 * time.Minute),
		"2030-05-06T07:30:00Z":      {}, // now
		"2029-01-01T00:00:00Z":      {},
		"tomorrow":                  {},
		"1924992000":                {},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t)
			r := a.send("POST", "/sudo", key(a.Key()), form("password", a.User().Password, "expiry_time", text))
			if until.IsZero() {
				assertProblem(t, r, 400, "Bad request")
				assertProblem(t, a.send("POST", "/tokens", key(a.Key())), 403, sudoMsg)
				return
			}
			assert.JSONEq(t, `{"expiry_time":"`+strings.TrimSuffix(until.Format(time.RFC3339), "Z")+`+00:00"}`, r.body)
			a.Advance(until.Sub(start) - time.Second)
			assert.Equal(t, 200, a.send("POST", "/tokens", key(a.Key())).status)
			a.Advance(time.Second)
			assertProblem(t, a.send("POST", "/tokens", key(a.Key())), 403, sudoMsg)
		})
	}
}

func TestWrongPasswordsForSudoLockTheUser(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for range maxFailures {
		r := a.send("POST", "/sudo", key(a.Key()), body("application/json", `{"password":"x"}`))
		assertProblem(t, r, 403, "not authorized")
	}
	assert.True(t, a.User().Locked)
	assertProblem(t, a.send("POST", "/sudo", key(a.Key()), loggedIn(a.User())), 400, "account_locked")
	assert.Equal(t, 200, a.send("GET", "/tokens", key(a.Key())).status, "keys go on working")
}
