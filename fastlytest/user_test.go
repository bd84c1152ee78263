package fastlytest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTenWrongPasswordsInARowLockAUser(t *testing.T) {
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

func TestCountNeverGoesBack(t *testing.T) {
	t.Parallel()
	a := &account{}
	assert.False(t, a.full(start.Add(time.Hour), 1))
	a.used++
	assert.True(t, a.full(start, 1), "an older request belongs to the newer hour")
}

func TestTOTPMatchesRFC6238(t *testing.T) {
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

func TestCurrentUserIsTheKeys(t *testing.T) {
	t.Parallel()
	a, keys := people(t)
	for who, role := range map[string]string{"ann": "user", "super": "superuser"} {
		got := decode[map[string]any](t, a.send("GET", "/current_user", key(keys[who])))
		assert.Equal(t, map[string]any{
			"id": who, "login": who + "@example.com", "customer_id": a.User().CustomerID, "role": role,
		}, got)
	}
	assertProblem(t, a.send("GET", "/current_user"), 401, "missing or invalid")
	assertProblem(t, a.send("GET", "/current_user", key(keys["ann"]), body("", "x")), 400, "Bad request")
}
