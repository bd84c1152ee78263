package fastlytest

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

func TestCreatedTokenIsAsRequested(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo())
	r := a.send("POST", "/tokens", key(a.Key()), form(
		"name", "deploy <&>",
		"scope", "purge_all  purge_select purge_all",
		"services[]", "SVC1", "services[]", "SVC2",
		"expires_at", "2031-01-02T02:04:05.9+00:00",
	))
	require.Equal(t, 200, r.status, r.body)
	got := decode[map[string]any](t, r)
	id, accessToken := got["id"], got["access_token"]
	assert.Regexp(t, `^[A-Za-z0-9]{22}$`, id)
	assert.Regexp(t, `^[A-Za-z0-9_-]{32}$`, accessToken)
	assert.Equal(t, map[string]any{
		"id":           id,
		"name":         "deploy <&>",
		"user_id":      a.User().ID,
		"customer_id":  a.User().CustomerID,
		"service_id":   "SVC2",
		"expires_at":   "2031-01-02T02:04:05Z",
		"created_at":   "2030-05-06T07:30:00Z",
		"updated_at":   "2030-05-06T07:30:00Z",
		"scope":        "purge_all purge_select",
		"services":     []any{"SVC1", "SVC2"},
		"access_token": accessToken,
	}, got)

	kept, ok := a.Token(id.(string))
	require.True(t, ok)
	assert.Equal(t, accessToken, kept.AccessToken.Reveal())
	assert.Equal(t, fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect}, kept.Scopes)
}

func TestDefaultScopeIsGlobal(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo())
	got := decode[map[string]any](t, a.send("POST", "/tokens", key(a.Key())))
	assert.Empty(t, got["name"])
	assert.Equal(t, "global", got["scope"])
	assert.Equal(t, []any{}, got["services"])
	assert.Nil(t, got["expires_at"])
	assert.Contains(t, got, "expires_at", "null, not left out")
	// And it works.
	r := a.send("GET", "/tokens/self", key(fastly.Secret(got["access_token"].(string))))
	assert.Equal(t, 200, r.status)
}

// What is sent but not understood must not make a wider token than was asked
// for.
func TestCreateRejectsWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo())
	for _, tc := range []struct {
		name   string
		form   mod
		status int
		code   string
	}{
		{"scope", form("scope", "global purge"), 400, "invalid_scope"},
		{"scope with tab", form("scope", "purge_all\tpurge_select"), 400, "invalid_scope"},
		{"scope case", form("scope", "Global"), 400, "invalid_scope"},
		{"scope with comma", form("scope", "purge_all,purge_select"), 400, "invalid_scope"},
		{"empty scope", form("scope", ""), 400, "invalid_scope"},
		{"blank scope", form("scope", "  "), 400, "invalid_scope"},
		{"scope twice", form("scope", "purge_all", "scope", "purge_all"), 400, "Bad request"},
		{"scopes", form("scopes", "purge_all"), 400, "Bad request"},
		{"scope with brackets", form("scope[]", "purge_all"), 400, "Bad request"},
		{"service_id", form("service_id", "SVC1"), 400, "Bad request"},
		{"unknown field", form("unknown", "1"), 400, "Bad request"},
		{"field in upper case", form("Scope", "purge_all"), 400, "Bad request"},
		{"JSON without Content-Type", body("", `{"scope":"purge_all"}`), 400, "Bad request"},
		{"byte order mark", body("", "\ufeffscope=purge_all"), 400, "Bad request"},
		{"service", form("services[]", "a/b"), 400, "Bad request"},
		{"empty service", form("services[]", ""), 400, "Bad request"},
		{"service without brackets", form("services", "SVC1"), 400, "Bad request"},
		{"numbered service", form("services[0]", "SVC1"), 400, "Bad request"},
		{"name twice", form("name", "a", "name", "b"), 400, "Bad request"},
		{"expiry twice", form("expires_at", "2031-01-02T02:04:05Z", "expires_at", "2031-01-02T02:04:05Z"), 400, "Bad request"},
		{"expiry is a date", form("expires_at", "2031-01-02"), 422, "expires_at"},
		{"expiry has no zone", form("expires_at", "2031-01-02T02:04:05"), 422, "expires_at"},
		{"expiry has a short hour", form("expires_at", "2031-01-02T2:04:05Z"), 422, "expires_at"},
		{"expiry has a comma", form("expires_at", "2031-01-02T02:04:05,5Z"), 422, "expires_at"},
		{"expiry is Unix", form("expires_at", "1924992000"), 422, "expires_at"},
		{"empty expiry", form("expires_at", ""), 422, "expires_at"},
		{"expiry past", form("expires_at", "2030-05-06T07:29:59Z"), 422, "expires_at"},
		{"expiry now", form("expires_at", "2030-05-06T07:30:00Z"), 422, "expires_at"},
		{"expiry zero", form("expires_at", "0001-01-01T00:00:00Z"), 422, "expires_at"},
		{"expiry in year 10000", form("expires_at", "9999-12-31T23:59:59-01:00"), 422, "expires_at"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := a.send("POST", "/tokens", key(a.Key()), tc.form)
			assertProblem(t, r, tc.status, tc.code)
		})
	}
	t.Cleanup(func() { assert.Len(t, a.Tokens(), 1, "refused creates create nothing") })
}

func TestUserHasAtMost100ActiveTokens(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo())
	u := a.AddUser(User{})
	k := a.token(u.ID, "t0")
	for i := 1; i < 97; i++ {
		a.token(u.ID, "t"+strconv.Itoa(i))
	}
	a.AddToken(u.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{DeletedAt: start}})
	a.AddToken(u.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ExpiresAt: start}})
	a.AddToken(u.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: "soon", ExpiresAt: start.Add(time.Minute)}})
	assert.Equal(t, 200, a.send("POST", "/tokens", key(k)).status, "99th")
	assert.Equal(t, 200, a.send("POST", "/tokens", key(k)).status, "100th")
	r := a.send("POST", "/tokens", key(k))
	assertProblem(t, r, 400, "max number of tokens")
	a.Advance(time.Minute)
	assert.Equal(t, 200, a.send("POST", "/tokens", key(k)).status, "one has expired")
	assert.Equal(t, 204, a.send("DELETE", "/tokens/t9", key(k)).status)
	assert.Equal(t, 200, a.send("POST", "/tokens", key(k)).status, "one was revoked")
	a.token(u.ID, "beyond") // AddToken knows no limit
}

func TestFieldsInTheQueryOfACreateAreRejected(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo())
	for _, query := range []string{"scope=purge_all", "services%5B%5D=A", "_=1", "%zz"} {
		assertProblem(t, a.send("POST", "/tokens?"+query, key(a.Key()), form("name", "n")), 400, "Bad request")
		assertProblem(t, a.send("POST", "/tokens?"+query, loggedIn(a.User())), 400, "Bad request")
	}
	assert.Len(t, a.Tokens(), 1)
	assert.Equal(t, 200, a.send("POST", "/tokens?", key(a.Key())).status, "an empty query is none")
}

func TestFormWithoutContentTypeIsRead(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.made(a.send("POST", "/tokens", loggedIn(a.User(), "scope", "purge_all"), func(r *http.Request) {
		r.Header.Del("Content-Type")
	}))
	assert.Equal(t, fastly.Scopes{"purge_all"}, made.Scopes)
}

func TestScopesThatCanBeCreated(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo())
	for _, scope := range []string{"global", "purge_select", "purge_all", "global:read", "root", "admin:write"} {
		made := a.made(a.send("POST", "/tokens", key(a.Key()), form("scope", scope)))
		assert.Equal(t, fastly.Scopes{fastly.Scope(scope)}, made.Scopes)
	}
}

func TestTwoFactorAccountsNeedAOneTimePassword(t *testing.T) {
	t.Parallel()
	const secret = "JBSWY3DPEHPK3PXP"
	a := newAPI(t, WithoutSudo())
	fixed := a.AddUser(User{OTP: "000000"})
	for _, tc := range []struct {
		name string
		otp  []string
		ok   bool
	}{
		{"none", nil, false},
		{"empty", []string{""}, false},
		{"wrong", []string{"123"}, false},
		{"twice", []string{"fixed", "fixed"}, false},
		{"fixed", []string{"fixed"}, true},
		{"now", []string{TOTP(secret, start)}, true},
		{"step before", []string{TOTP(secret, start.Add(-30*time.Second))}, true},
		{"step after", []string{TOTP(secret, start.Add(30*time.Second))}, true},
		{"two before", []string{TOTP(secret, start.Add(-60*time.Second))}, false},
		{"two after", []string{TOTP(secret, start.Add(60*time.Second))}, false},
	} {
		for by, credential := range map[string]func(User) mod{
			"key":   func(u User) mod { return key(a.AddToken(u.ID, fastly.TokenCreatedResponse{}).AccessToken) },
			"basic": func(u User) mod { return basic(u.Login, u.Password) },
			"form":  func(u User) mod { return loggedIn(u) },
		} {
			mods := []mod{credential(a.AddUser(User{OTP: "fixed", TOTPSecret: secret}))}
			for _, otp := range tc.otp {
				mods = append(mods, header("Fastly-OTP", otp))
			}
			r := a.send("POST", "/tokens", mods...)
			if tc.ok {
				assert.Equal(t, 200, r.status, "%s by %s: %s", tc.name, by, r.body)
				continue
			}
			assertProblem(t, r, 400, "2fa.verify")
			problem := decode[map[string]string](t, r)
			assert.Equal(t, "2fa.verify", problem["msg"])
			assert.Equal(t, "2fa.verify", problem["code"])
			assert.Contains(t, problem["detail"], "Invalid one-time password")
		}
	}
	assertProblem(t, a.send("POST", "/tokens", basic(fixed.Login, "x"), header("Fastly-OTP", "000000")), 400, "invalid_grant")
	assertProblem(t, a.send("POST", "/tokens", basic(fixed.Login, fixed.Password), header("Fastly-OTP", "1")), 400, "2fa.verify")
	k := a.token(fixed.ID, "T")
	assert.Equal(t, 200, a.send("GET", "/tokens", key(k)).status, "only creates want the code")
}

func TestTimeBasedOneTimePasswordWorksOnce(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.AddUser(User{OTP: "fixed", TOTPSecret: "JBSWY3DPEHPK3PXP"})
	create := func(otp string, pairs ...string) reply {
		return a.send("POST", "/tokens", loggedIn(u, pairs...), header("Fastly-OTP", otp))
	}
	first := TOTP(u.TOTPSecret, start)
	assert.Equal(t, 200, create(first).status)
	for range 2 {
		assertProblem(t, create(first), 400, "2fa.verify")
		a.Advance(30 * time.Second) // it would still be right
	}
	assert.Equal(t, 200, create(TOTP(u.TOTPSecret, start.Add(30*time.Second))).status, "the next step has its own")
	next := TOTP(u.TOTPSecret, start.Add(time.Minute))
	assertProblem(t, create(next, "scope", "x"), 400, "invalid_scope")
	assertProblem(t, create(next), 400, "2fa.verify")
	for range 2 {
		assert.Equal(t, 200, create("fixed").status)
	}
	other := a.AddUser(User{TOTPSecret: u.TOTPSecret})
	r := a.send("POST", "/tokens", loggedIn(other), header("Fastly-OTP", TOTP(other.TOTPSecret, a.now())))
	assert.Equal(t, 200, r.status, "users spend their own")
}

func TestCreateAsJSONIsLikeTheForm(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, json string
		form       []string // the same
	}{
		{"nothing", `{}`, nil},
		{"all", `{"name":"n \u00e9","scope":"purge_all purge_select","services":["S1","S2"],"expires_at":"2031-01-02T02:04:05Z"}`,
			[]string{"name", "n é", "scope", "purge_all purge_select", "services[]", "S1", "services[]", "S2", "expires_at", "2031-01-02T02:04:05Z"}},
		{"scopes", ` {"scopes":["purge_all","global:read"],"services":[]} `, []string{"scope", "purge_all global:read"}},
		{"null", `{"name":null,"expires_at":null}`, nil},

		{"both scopes", `{"scope":"purge_all","scopes":["purge_all"]}`, []string{"scope", "purge_all", "scope", "purge_all"}},
		{"empty scope", `{"scope":""}`, []string{"scope", ""}},
		{"no scopes", `{"scopes":[]}`, []string{"scope", ""}},
		{"unknown scope", `{"scopes":["purge"]}`, []string{"scope", "purge"}},
		{"scopes as a string", `{"scopes":"purge_all"}`, []string{"scopes", "purge_all"}},
		{"services as a string", `{"services":"S1"}`, []string{"services", "S1"}},
		{"service_id", `{"service_id":"S1"}`, []string{"service_id", "S1"}},
		{"bad service", `{"services":["a/b"]}`, []string{"services[]", "a/b"}},
		{"bad expiry", `{"expires_at":"2031-01-02"}`, []string{"expires_at", "2031-01-02"}},
		{"unknown field", `{"Scope":"purge_all"}`, []string{"Scope", "purge_all"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, WithoutSudo())
			byForm := a.send("POST", "/tokens", key(a.Key()), form(tc.form...))
			byJSON := a.send("POST", "/tokens", key(a.Key()), body("application/json; charset=utf-8", tc.json))
			assert.Equal(t, byForm.status, byJSON.status, byJSON.body)
			want, got := decode[map[string]any](t, byForm), decode[map[string]any](t, byJSON)
			for _, own := range []string{"id", "access_token"} {
				delete(want, own)
				delete(got, own)
			}
			assert.Equal(t, want, got)
		})
	}
}

func TestCreateRejectsJSONThatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo())
	for _, text := range []string{
		"null", "[]", "{", `"name"`, `{} {}`, "\ufeff{}",
		`{"name":1}`, `{"name":["n"]}`, `{"expires_at":1924992000}`,
		`{"scope":null}`, `{"scope":["purge_all"]}`, `{"scopes":null}`, `{"scopes":["purge_all",1]}`, `{"scopes":{"0":"purge_all"}}`,
		`{"services":null}`, `{"services":[null]}`, `{"services":{"0":"S1"}}`, `{"services[]":["S1"]}`,
		`{"services[]":null}`, `{"services[0]":null}`, `{"service_id":null}`, `{"scopes[]":null}`, `{"unknown":null}`,
		`{"scope":"purge_all","scope":"global"}`, `{"services":["S1"],"services":[]}`,
	} {
		assertProblem(t, a.send("POST", "/tokens", key(a.Key()), body("application/json", text)), 400, "Bad request")
	}
	assert.Len(t, a.Tokens(), 1)
}

// An npm package creates by a login as JSON, without other credentials.
func TestCreateAsJSONLogsIn(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.AddUser(User{OTP: "000000"})
	login := body("application/json", `{"name":"n","username":"`+u.Login+`","password":"`+u.Password+`","services":[],"scopes":["purge_all"]}`)
	assertProblem(t, a.send("POST", "/tokens", login), 400, "2fa.verify")
	made := a.made(a.send("POST", "/tokens", login, header("Fastly-OTP", "000000")))
	assert.Equal(t, u.ID, made.UserID)
	assert.Equal(t, fastly.Scopes{"purge_all"}, made.Scopes)
	assertProblem(t, a.send("POST", "/tokens", body("application/json", `{"username":"x","password":"x"}`)), 400, "invalid_grant")
	assertProblem(t, a.send("POST", "/tokens", body("application/json", `{}`)), 400, "invalid_request")
}
