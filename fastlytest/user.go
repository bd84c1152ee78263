package fastlytest

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238 has it
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

const maxFailures = 10 // wrong passwords in a row that lock a user

// User is a user of an account. [Server.AddUser] turns the zero value into a
// plain user of the default customer.
type User struct {
	ID         string
	CustomerID string
	Login      string // the user name
	Password   string
	// Superuser may read, list and revoke the tokens of everyone of the same
	// customer.
	Superuser bool
	// OTP is a one-time password that is always right. A user with an OTP or a
	// TOTPSecret has two-factor authentication: each create needs a Fastly-OTP
	// header.
	OTP string
	// TOTPSecret is the base32 secret of time-based one-time passwords; see
	// [TOTP]. The codes of the server's time and of 30 seconds before and after
	// it are right, each once.
	TOTPSecret string
	// Locked users can neither create tokens nor POST /sudo; their tokens still
	// work. The tenth wrong password in a row locks a user.
	Locked bool
}

type user struct {
	User
	account  *account
	failures int            // wrong passwords in a row
	spent    map[int64]bool // the time steps whose one-time password was used
}

func (st *state) addUser(u User) *user {
	if u.ID == "" {
		u.ID = st.newID()
	}
	if u.Login == "" {
		u.Login = u.ID + "@example.com"
	}
	if u.Password == "" {
		u.Password = random(22, base62)
	}
	if u.TOTPSecret != "" {
		mustDecodeSecret(u.TOTPSecret)
	}
	switch {
	case !wellFormed(u.ID):
		panic("fastlytest: AddUser: malformed ID " + u.ID)
	case !wellFormed(u.CustomerID):
		panic("fastlytest: AddUser: malformed CustomerID " + u.CustomerID)
	case st.users[u.ID] != nil:
		panic("fastlytest: AddUser: ID taken: " + u.ID)
	case st.byLogin[u.Login] != nil:
		panic("fastlytest: AddUser: login taken: " + u.Login)
	}
	added := &user{User: u, account: st.account(u.CustomerID), spent: map[int64]bool{}}
	st.users[u.ID] = added
	st.byLogin[u.Login] = added
	return added
}

// getCurrentUser shows the key's user: other clients ask for it before anything
// else. That it takes a user is a guess.
func (st *state) getCurrentUser(c *call) (response, *problem) {
	if p := st.authenticateBare(c, accessUser); p != nil {
		return response{}, p
	}
	if c.user == nil {
		return response{}, errForbidden
	}
	role := "user"
	if c.user.Superuser {
		role = "superuser"
	}
	return jsonResponse(map[string]string{
		"id": c.user.ID, "login": c.user.Login, "customer_id": c.user.CustomerID, "role": role,
	}), nil
}

// checkPassword counts the wrong passwords, and locks the user after too many.
func (u *user) checkPassword(password string) *problem {
	switch {
	case u.Locked:
		return errLocked
	case u.Password != password:
		u.failures++
		u.Locked = u.failures >= maxFailures
		return errGrant
	}
	u.failures = 0
	return nil
}

const totpStep = 30 * time.Second

// TOTP returns the six digits that an authenticator with the base32 secret
// shows at the given time (RFC 6238: HMAC-SHA-1, 30 seconds). The secret may be
// in lower case, contain spaces and lack padding. It panics if the secret is not
// base32.
func TOTP(secret string, at time.Time) string {
	mac := hmac.New(sha1.New, mustDecodeSecret(secret))
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(at.Unix())/uint64(totpStep/time.Second)) //nolint:gosec // before 1970 there are no codes
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	// RFC 4226 section 5.3: the last four bits say which 31 bits to take.
	offset := sum[len(sum)-1] & 0xf
	code := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%06d", code%1_000_000)
}

func mustDecodeSecret(secret string) []byte {
	s := strings.TrimRight(strings.ToUpper(strings.ReplaceAll(secret, " ", "")), "=")
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s)
	if err != nil || len(key) == 0 {
		panic("fastlytest: a TOTP secret that is not base32")
	}
	return key
}

// useOTP reports whether the header values hold a right one-time password, if the
// user needs one. A time-based one is right once (RFC 6238 section 5.2).
func (u *user) useOTP(values []string, now time.Time) bool {
	if u.OTP == "" && u.TOTPSecret == "" {
		return true
	}
	if len(values) != 1 || values[0] == "" {
		return false
	}
	code := values[0]
	if code == u.OTP {
		return true
	}
	if u.TOTPSecret == "" {
		return false
	}
	for _, drift := range []time.Duration{0, -totpStep, totpStep} {
		at := now.Add(drift)
		step := at.Unix() / int64(totpStep/time.Second)
		if code == TOTP(u.TOTPSecret, at) && !u.spent[step] {
			u.spent[step] = true
			return true
		}
	}
	return false
}
