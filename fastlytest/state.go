package fastlytest

import (
	"crypto/rand"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
)

// state is what the API knows. Its methods do no locking.
type state struct {
	opts     options
	accounts map[string]*account // by ID
	users    map[string]*user    // by ID
	byLogin  map[string]*user
	tokens   []*token // in order of creation
	byID     map[string]*token
	byKey    map[string]*token
	made     int // IDs
}

// token's slices are never changed once it is in the state, so that copies of
// the struct can be read without the lock.
type token struct {
	fastly.TokenCreatedResponse
	account *account
	user    *user     // nil for an automation token
	rank    uint64    // in lists
	shows   time.Time // when lists, reads and authentication begin to know it
	hides   time.Time // when lists stop showing it after its revocation
}

// listed reports whether lists have the token.
func (t *token) listed(now time.Time) bool {
	if now.Before(t.shows) || t.Expired(now) {
		return false
	}
	return t.DeletedAt.IsZero() || now.Before(t.hides)
}

// account is a customer, and how much of its rate limit is used.
type account struct {
	hour time.Time // that used belongs to
	used int
}

// account returns the account with the ID.
func (st *state) account(id string) *account {
	if st.accounts[id] == nil {
		st.accounts[id] = &account{}
	}
	return st.accounts[id]
}

// full starts the count of a new hour, and reports whether it is used up.
func (a *account) full(now time.Time, perHour int) bool {
	// Never back to an earlier hour: requests may overtake each other.
	if hour := now.Truncate(time.Hour); hour.After(a.hour) {
		a.hour, a.used = hour, 0
	}
	return a.used >= perHour
}

func newState(o options) *state {
	return &state{
		opts:     o,
		accounts: map[string]*account{},
		users:    map[string]*user{},
		byLogin:  map[string]*user{},
		byID:     map[string]*token{},
		byKey:    map[string]*token{},
	}
}

// addToken adds a token of the user or, if u is nil, of the account that the
// token names.
func (st *state) addToken(u *user, t fastly.TokenCreatedResponse, now time.Time) *token {
	if t.ID == "" {
		t.ID = st.newID()
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
	t.UserID = ""
	if u != nil {
		t.UserID, t.CustomerID = u.ID, u.CustomerID
	}
	switch {
	case !wellFormed(t.CustomerID):
		panic("fastlytest: AddToken: malformed CustomerID " + t.CustomerID)
	case !wellFormed(t.ID) || t.ID == "self": // the name of a path
		panic("fastlytest: AddToken: malformed ID " + t.ID)
	case st.byID[t.ID] != nil:
		panic("fastlytest: AddToken: ID taken: " + t.ID)
	case st.byKey[t.AccessToken.Reveal()] != nil:
		panic("fastlytest: AddToken: access token taken, by token " + st.byKey[t.AccessToken.Reveal()].ID)
	}
	for _, at := range []*time.Time{
		&t.CreatedAt, &t.UpdatedAt, &t.DeletedAt, &t.ExpiresAt, &t.LastUsedAt, &t.SudoExpiresAt,
	} {
		*at = toSecond(*at)
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(t.ID)) // never fails
	added := &token{TokenCreatedResponse: t, account: st.account(t.CustomerID), user: u, rank: hash.Sum64()}
	added.TokenCreatedResponse = added.view() // own slices
	st.tokens = append(st.tokens, added)
	st.byID[t.ID] = added
	st.byKey[t.AccessToken.Reveal()] = added
	return added
}

// view returns a copy that shares nothing with t.
func (t *token) view() fastly.TokenCreatedResponse {
	view := t.TokenCreatedResponse
	view.Scopes = slices.Clone(view.Scopes)
	view.Services = slices.Clone(view.Services)
	return view
}

// toSecond truncates t to the precision of the API's times.
func toSecond(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// wellFormed reports whether s can be an ID. The API's have 22 letters and
// digits, or 21; any length up to 64 is accepted, so that tests can use readable ones.
func wellFormed(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, base62) == ""
}

// newID returns an ID. As with the API, a few have 21 letters and digits.
func (st *state) newID() string {
	st.made++
	if st.made%50 == 0 {
		return random(21, base62)
	}
	return random(22, base62)
}

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
	query  string // escaped
	header http.Header
	body   []byte
	ip     string

	id      string   // of the token or customer that the path names
	account *account // whose user or token sends it; nil until known
	user    *user    // who sends it; nil until known, and for automation tokens
	key     *token   // that authenticates it; nil: none
	counted bool     // its response shows the rate limit
}

func (c *call) bySuperuser() bool { return c.user != nil && c.user.Superuser }
