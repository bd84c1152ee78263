package fastlytest

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

// endpoints is a request for each, of which a right one would be carried out.
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

func TestScopes(t *testing.T) {
	t.Parallel()
	all := map[string]int{
		"create": 200, "list": 200, "bulk": 204, "get": 200, "revoke": 204,
		"get self": 200, "revoke self": 204, "list customer": 200, "sudo": 200,
	}
	read := map[string]int{"list": 200, "get": 200, "get self": 200, "list customer": 200}
	self := map[string]int{"get self": 200}
	for _, tc := range []struct {
		scopes fastly.Scopes
		can    map[string]int
	}{
		{fastly.Scopes{"global"}, all},
		{fastly.Scopes{"purge_all", "global"}, all},
		{fastly.Scopes{"global:read"}, read},
		{fastly.Scopes{"purge_all", "global:read"}, read},
		{fastly.Scopes{"purge_all"}, self},
		{fastly.Scopes{"purge_select", "purge_all"}, self},
		{fastly.Scopes{"unheard:of"}, self},
	} {
		for name := range all {
			t.Run(tc.scopes.String()+" "+name, func(t *testing.T) {
				t.Parallel()
				a := newAPI(t)
				a.token(a.User().ID, "victim")
				k := a.token(a.User().ID, "key", tc.scopes...)
				r := endpoints(a)[name](key(k))
				if want := tc.can[name]; want != 0 {
					assert.Equal(t, want, r.status, r.body)
				} else {
					assertProblem(t, r, 403, "You are not authorized to perform this action")
				}
			})
		}
	}
}

func TestUnauthorized(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.User()
	a.token(u.ID, "victim")
	dead := a.AddToken(u.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{DeletedAt: start}})
	expired := a.AddToken(u.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ExpiresAt: start}})
	none := header("X-None", "")
	for who, mods := range map[string][]mod{
		"none":     {none},
		"empty":    {key("")},
		"unknown":  {key("unknown")},
		"revoked":  {key(dead.AccessToken)},
		"expired":  {key(expired.AccessToken)},
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

func TestCreateCredentials(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		mods   func(a *api, ann User) []mod
		status int
		code   string
		owner  string
	}{
		{"key", func(a *api, ann User) []mod {
			return []mod{key(a.Key())}
		}, 200, "", "owner"},
		{"form", func(a *api, ann User) []mod {
			return []mod{form("username", ann.Login, "password", ann.Password)}
		}, 200, "", "ann"},
		{"basic", func(a *api, ann User) []mod {
			return []mod{basic(ann.Login, ann.Password)}
		}, 200, "", "ann"},
		{"basic, lower case", func(a *api, ann User) []mod {
			return []mod{header("Authorization", "basic  YW5uOnA6dw==")}
		}, 200, "", "ann"},
		{"empty key and form", func(a *api, ann User) []mod {
			return []mod{key(""), form("username", ann.Login, "password", ann.Password)}
		}, 200, "", "ann"},
		{"form before basic and key", func(a *api, ann User) []mod {
			return []mod{key(a.Key()), basic("x", "y"), form("username", ann.Login, "password", ann.Password)}
		}, 200, "", "ann"},
		{"basic before key", func(a *api, ann User) []mod {
			return []mod{key(a.Key()), basic(ann.Login, ann.Password)}
		}, 200, "", "ann"},
		{"password and narrow key", func(a *api, ann User) []mod {
			return []mod{key(a.token(ann.ID, "narrow", "purge_all")), basic(ann.Login, ann.Password)}
		}, 200, "", "ann"},
		{"empty form fields and key", func(a *api, ann User) []mod {
			return []mod{key(a.Key()), form("username", "", "password", "")}
		}, 200, "", "owner"},
		{"other scheme and key", func(a *api, ann User) []mod {
			return []mod{key(a.Key()), header("Authorization", "Bearer x")}
		}, 200, "", "owner"},

		{"wrong form before good key", func(a *api, ann User) []mod {
			return []mod{key(a.Key()), form("username", ann.Login, "password", "x")}
		}, 400, "invalid_grant", ""},
		{"wrong form before good basic", func(a *api, ann User) []mod {
			return []mod{basic(ann.Login, ann.Password), form("username", ann.Login, "password", "x")}
		}, 400, "invalid_grant", ""},
		{"wrong basic", func(a *api, ann User) []mod { return []mod{basic(ann.Login, "x")} }, 400, "invalid_grant", ""},
		{"unknown user", func(a *api, ann User) []mod { return []mod{basic("nobody", "x")} }, 400, "invalid_grant", ""},
		{"nothing", func(a *api, ann User) []mod { return nil }, 400, "invalid_request", ""},
		{"other scheme", func(a *api, ann User) []mod {
			return []mod{header("Authorization", "Bearer x")}
		}, 400, "invalid_request", ""},
		{"basic not base64", func(a *api, ann User) []mod {
			return []mod{header("Authorization", "Basic %%")}
		}, 400, "invalid_request", ""},
		{"basic with nothing", func(a *api, ann User) []mod {
			return []mod{header("Authorization", "Basic")}
		}, 400, "invalid_request", ""},
		{"basic without colon", func(a *api, ann User) []mod {
			return []mod{header("Authorization", "Basic YW5u")}
		}, 400, "invalid_request", ""},
		{"username only", func(a *api, ann User) []mod {
			return []mod{key(a.Key()), form("username", ann.Login)}
		}, 400, "invalid_request", ""},
		{"password only", func(a *api, ann User) []mod {
			return []mod{form("password", ann.Password)}
		}, 400, "invalid_request", ""},
		{"username twice", func(a *api, ann User) []mod {
			return []mod{form("username", ann.Login, "username", ann.Login, "password", ann.Password)}
		}, 400, "Bad request", ""},
		{"bad key, good password", func(a *api, ann User) []mod {
			return []mod{key("bad"), form("username", ann.Login, "password", ann.Password)}
		}, 401, "Provided credentials", ""},
		{"locked, by password", func(a *api, ann User) []mod {
			l := a.AddUser(User{Locked: true})
			return []mod{basic(l.Login, l.Password)}
		}, 400, "account_locked", ""},
		{"locked, by key", func(a *api, ann User) []mod {
			return []mod{key(a.token(a.AddUser(User{Locked: true}).ID, "l"))}
		}, 400, "account_locked", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t)
			ann := a.AddUser(User{ID: "ann", Login: "ann", Password: "p:w"})
			mods := tc.mods(a, ann)
			before := len(a.Tokens())
			r := a.send("POST", "/tokens", mods...)
			if tc.status != 200 {
				assertProblem(t, r, tc.status, tc.code)
				assert.Len(t, a.Tokens(), before)
				return
			}
			want := a.User().ID
			if tc.owner == "ann" {
				want = "ann"
			}
			require.Equal(t, 200, r.status, r.body)
			assert.Equal(t, want, decode[map[string]any](t, r)["user_id"])
		})
	}
}

func TestLockAfterWrongPasswords(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.User()
	wrong := func() reply { return a.send("POST", "/tokens", basic(u.Login, "wrong")) }
	right := func() reply { return a.send("POST", "/tokens", basic(u.Login, u.Password)) }
	for range 9 {
		assertProblem(t, wrong(), 400, "invalid_grant")
	}
	assert.Equal(t, 200, right().status, "the right password ends the row")
	for range 10 {
		assertProblem(t, wrong(), 400, "invalid_grant")
	}
	assertProblem(t, right(), 400, "account_locked")
	assertProblem(t, a.send("POST", "/sudo", key(a.Key()), form("username", u.Login, "password", u.Password)), 400, "account_locked")
	assert.True(t, a.User().Locked)
	assert.Equal(t, 200, a.send("GET", "/tokens", key(a.Key())).status, "tokens go on working")
}

func TestTwoFactor(t *testing.T) {
	t.Parallel()
	const secret = "JBSWY3DPEHPK3PXP"
	a := newAPI(t)
	u := a.AddUser(User{ID: "u", OTP: "fixed", TOTPSecret: secret})
	k := a.token("u", "T")
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
		for by, credential := range map[string]mod{
			"key": key(k), "basic": basic(u.Login, u.Password), "form": form("username", u.Login, "password", u.Password),
		} {
			mods := []mod{credential}
			for _, otp := range tc.otp {
				mods = append(mods, header("Fastly-OTP", otp))
			}
			r := a.send("POST", "/tokens", mods...)
			if tc.ok {
				assert.Equal(t, 200, r.status, "%s by %s: %s", tc.name, by, r.body)
			} else {
				assertProblem(t, r, 400, "2fa.verify")
			}
		}
	}
	assertProblem(t, a.send("POST", "/tokens", basic(u.Login, "x"), header("Fastly-OTP", "fixed")), 400, "invalid_grant")
	assertProblem(t, a.send("POST", "/tokens", basic(fixed.Login, fixed.Password), header("Fastly-OTP", "1")), 400, "2fa.verify")
	assert.Equal(t, 200, a.send("GET", "/tokens", key(k)).status, "only creates want the code")
}

func TestTOTP(t *testing.T) {
	t.Parallel()
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" // "12345678901234567890"
	// RFC 6238 appendix B, the last six of eight digits.
	for unix, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471",
		1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		assert.Equal(t, want, TOTP(secret, time.Unix(unix, 0)))
	}
	assert.Equal(t, TOTP(secret, start), TOTP("gezd gnbv gy3t qojq gezd gnbv gy3t qojq", start))
	assert.Equal(t, TOTP("JBSWY3DP", start), TOTP("JBSWY3DP====", start))
	assert.Panics(t, func() { TOTP("", start) })
	assert.Panics(t, func() { TOTP("0189", start) })
}

func TestSudo(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.AddUser(User{SudoRequired: true})
	for i := range 3 {
		a.token(u.ID, "t"+strconv.Itoa(i))
	}
	k := a.token(u.ID, "self1")
	refused := func(why string) {
		t.Helper()
		for _, r := range []reply{
			a.send("POST", "/tokens", key(k)),
			a.send("DELETE", "/tokens/t0", key(k)),
			a.send("DELETE", "/tokens", key(k), bulk("t0")),
			a.send("DELETE", "/tokens/self", key(k)),
		} {
			assertProblem(t, r, 403, "You must POST /sudo to access this endpoint")
		}
		assert.False(t, a.revoked("t0"), why)
	}
	refused("at first")
	assert.Equal(t, 200, a.send("GET", "/tokens", key(k)).status, "reads are free")

	good := form("username", u.Login, "password", u.Password)
	assertProblem(t, a.send("POST", "/sudo", good), 401, "")
	assertProblem(t, a.send("POST", "/sudo", key(k)), 400, "invalid_request")
	assertProblem(t, a.send("POST", "/sudo", key(k), form("username", u.Login)), 400, "invalid_request")
	assertProblem(t, a.send("POST", "/sudo", key(k), form("username", u.Login, "password", "x")), 400, "invalid_grant")
	assertProblem(t, a.send("POST", "/sudo", key(a.Key()), good), 400, "invalid_grant")
	assertProblem(t, a.send("POST", "/sudo", key(k), body("application/json", "{}")), 415, "")
	refused("after failed confirmations")

	r := a.send("POST", "/sudo", key(k), good)
	require.Equal(t, 200, r.status, r.body)
	assert.JSONEq(t, `{"expiry_time":"2030-05-06T07:35:00Z"}`, r.body)
	assert.Equal(t, "2030-05-06T07:35:00Z", decode[map[string]any](t, a.send("GET", "/tokens/t1", key(k)))["sudo_expires_at"])
	assert.Equal(t, 204, a.send("DELETE", "/tokens/t1", key(k)).status)
	a.Advance(sudoPeriod)
	refused("after five minutes")

	r = a.send("POST", "/tokens", good)
	require.Equal(t, 200, r.status, "a create with the password is a confirmation: %s", r.body)
	assert.Equal(t, 204, a.send("DELETE", "/tokens", key(k), bulk("t0", "t2")).status)
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithRateLimit(3))
	u := a.User()
	check := func(r reply, status, remaining int, reset time.Time) {
		t.Helper()
		assert.Equal(t, status, r.status, r.body)
		assert.Equal(t, strconv.Itoa(remaining), r.header.Get("Fastly-RateLimit-Remaining"))
		assert.Equal(t, fmt.Sprint(reset.Unix()), r.header.Get("Fastly-RateLimit-Reset"))
	}
	end := start.Truncate(time.Hour).Add(time.Hour)
	check(a.send("POST", "/tokens", key(a.Key())), 200, 2, end)
	check(a.send("DELETE", "/tokens/none", key(a.Key())), 404, 1, end)
	r := a.send("GET", "/tokens", key(a.Key()))
	assert.Empty(t, r.header.Get("Fastly-RateLimit-Remaining"), "reads do not count")
	check(a.send("POST", "/sudo", key(a.Key()), form("username", u.Login, "password", u.Password)), 200, 0, end)

	for range 2 {
		r = a.send("POST", "/tokens", basic(u.Login, u.Password))
		check(r, 429, 0, end)
		assertProblem(t, r, 429, "You have exceeded your hourly rate limit")
	}
	check(a.send("DELETE", "/tokens/self", key(a.Key())), 429, 0, end)
	assert.Equal(t, 200, a.send("GET", "/tokens/self", key(a.Key())).status)
	other := a.token(a.AddUser(User{}).ID, "T")
	check(a.send("DELETE", "/tokens/self", key(other)), 204, 2, end)

	a.Advance(end.Sub(start) - time.Second)
	check(a.send("POST", "/tokens", key(a.Key())), 429, 0, end)
	a.Advance(time.Second)
	check(a.send("POST", "/tokens", key(a.Key())), 200, 2, end.Add(time.Hour))
	assert.Len(t, a.Tokens(), 4, "a 429 is not carried out")
}

func TestRateLimitOfNone(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithRateLimit(0))
	assert.Equal(t, http.StatusTooManyRequests, a.send("POST", "/tokens", key(a.Key())).status)
}

func TestCountNeverGoesBack(t *testing.T) {
	t.Parallel()
	u := &user{}
	assert.True(t, u.count(start.Add(time.Hour), 1))
	assert.False(t, u.count(start, 1), "an older request belongs to the newer hour")
}
