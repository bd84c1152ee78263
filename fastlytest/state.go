package fastlytest

import (
	"crypto/rand"
	"net/http"
	"slices"
	"time"

	"github.com/fastly-tokens/fastly"
)

const (
	maxActiveTokens = 100 // of one user
	maxFailures     = 10  // wrong passwords in a row that lock a user
	sudoPeriod      = 5 * time.Minute
)

// User is someone with an account. The zero value, filled in by
// [Server.AddUser], is a plain user of the default customer.
type User struct {
	ID         string
	CustomerID string
	Login      string // the username
	Password   string
	// Superuser may read, list and revoke the tokens of everyone of the same
	// customer.
	Superuser bool
	// OTP is a one-time password that is always right. A user with it, or with
	// TOTPSecret, has two-factor authentication: each create wants a
	// Fastly-OTP header.
	OTP string
	// TOTPSecret is the base32 secret of time-based one-time passwords; see
	// [TOTP]. Codes of the server's time and of 30 seconds before and after it
	// are right.
	TOTPSecret string
	// Locked users can neither create tokens nor POST /sudo; their tokens go
	// on working. The tenth wrong password in a row locks a user.
	Locked bool
	// SudoRequired makes creates and revokes answer 403 unless the password
	// was confirmed in the last five minutes, by POST /sudo or by a create
	// that carried it.
	SudoRequired bool
}

// state is what the API knows. It does no locking.
type state struct {
	perHour int
	users   map[string]*user // by ID
	byLogin map[string]*user
	tokens  []*token // in order of creation
	byID    map[string]*token
	byKey   map[string]*token
}

type user struct {
	User
	failures  int // wrong passwords in a row
	sudoUntil time.Time
	hour      time.Time // that used belongs to
	used      int       // requests of the rate limit
}

// token's slices are never changed once it is in the state, so that copies of
// the struct can be read without the lock.
type token struct {
	fastly.TokenCreatedResponse
	user *user
}

func newState(perHour int) *state {
	return &state{
		perHour: perHour,
		users:   map[string]*user{},
		byLogin: map[string]*user{},
		byID:    map[string]*token{},
		byKey:   map[string]*token{},
	}
}

func (st *state) addUser(u User) *user {
	if u.ID == "" {
		u.ID = randomID()
	}
	if u.Login == "" {
		u.Login = u.ID + "@example.com"
	}
	if u.Password == "" {
		u.Password = randomID()
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
	added := &user{User: u}
	st.users[u.ID] = added
	st.byLogin[u.Login] = added
	return added
}

func (st *state) addToken(u *user, t fastly.TokenCreatedResponse, now time.Time) *token {
	if t.ID == "" {
		t.ID = randomID()
	}
	if t.AccessToken == "" {
		t.AccessToken = fastly.Secret(random(32, base62+"-_"))
	}
	if len(t.Scopes) == 0 {
		t.Scopes = fastly.Scopes{fastly.ScopeGlobal}
	}
	if t.CreatedAt.IsZero() {
		t.CreatedAt = now
	}
	if t.UpdatedAt.IsZero() {
		t.UpdatedAt = t.CreatedAt
	}
	switch {
	case !wellFormed(t.ID) || t.ID == "self": // the name of a path
		panic("fastlytest: AddToken: malformed ID " + t.ID)
	case st.byID[t.ID] != nil:
		panic("fastlytest: AddToken: ID taken: " + t.ID)
	case st.byKey[t.AccessToken.Reveal()] != nil:
		panic("fastlytest: AddToken: access token taken, by token " + st.byKey[t.AccessToken.Reveal()].ID)
	}
	t.UserID, t.CustomerID = u.ID, u.CustomerID
	for _, at := range []*time.Time{
		&t.CreatedAt, &t.UpdatedAt, &t.DeletedAt, &t.ExpiresAt, &t.LastUsedAt, &t.SudoExpiresAt,
	} {
		*at = toSecond(*at)
	}
	added := &token{t, u}
	added.TokenCreatedResponse = added.view() // own slices
	st.tokens = append(st.tokens, added)
	st.byID[t.ID] = added
	st.byKey[t.AccessToken.Reveal()] = added
	return added
}

// activeTokens calls f with each token that is neither revoked nor expired.
func (st *state) activeTokens(now time.Time, f func(*token)) {
	for _, t := range st.tokens {
		if t.active(now) {
			f(t)
		}
	}
}

func (t *token) active(now time.Time) bool {
	return t.DeletedAt.IsZero() && (t.ExpiresAt.IsZero() || now.Before(t.ExpiresAt))
}

// shown is the token with what it takes from its user. It shares slices with t.
func (t *token) shown() fastly.TokenCreatedResponse {
	shown := t.TokenCreatedResponse
	if !t.user.sudoUntil.IsZero() {
		shown.SudoExpiresAt = t.user.sudoUntil
	}
	return shown
}

// view is a copy of what shown returns.
func (t *token) view() fastly.TokenCreatedResponse {
	view := t.shown()
	view.Scopes = slices.Clone(view.Scopes)
	view.Services = slices.Clone(view.Services)
	return view
}

func (u *user) sudo(now time.Time) { u.sudoUntil = toSecond(now.Add(sudoPeriod)) }

// count takes one request from what is left of the hour, and reports whether
// there was one.
func (u *user) count(now time.Time, perHour int) bool {
	// Never back: requests overtake each other on their way here.
	if hour := now.Truncate(time.Hour); hour.After(u.hour) {
		u.hour, u.used = hour, 0
	}
	if u.used >= perHour {
		return false
	}
	u.used++
	return true
}

// toSecond is the precision of the API's times.
func toSecond(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// wellFormed reports whether s can be an ID. The API makes them of 22 letters
// and digits; any length up to 64 is let through, so that tests can use
// readable ones.
func wellFormed(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
		default:
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 64
}

func randomID() string { return random(22, base62) }

// random returns n letters of the alphabet, which has at most 64.
func random(n int, alphabet string) string {
	out := make([]byte, 0, n)
	var b [64]byte
	for len(out) < n {
		_, _ = rand.Read(b[:]) // never fails
		for _, v := range b {
			if i := int(v & 63); i < len(alphabet) && len(out) < n {
				out = append(out, alphabet[i])
			}
		}
	}
	return string(out)
}

// call is one request on its way through the state.
type call struct {
	now    time.Time
	method string
	path   string // escaped
	header http.Header
	body   []byte
	ip     string

	id      string // of the token or customer that the path names
	user    *user  // who asks; nil until known
	key     *token // that it is asked with; nil: none
	counted bool   // it is subject to the rate limit
}
