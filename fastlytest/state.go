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
	opts    options
	users   map[string]*user // by ID
	byLogin map[string]*user
	tokens  []*token // in order of creation
	byID    map[string]*token
	byKey   map[string]*token
}

// token's slices are never changed once it is in the state, so that copies of
// the struct can be read without the lock.
type token struct {
	fastly.TokenCreatedResponse
	user *user
	rank uint64 // in lists
}

func newState(o options) *state {
	return &state{
		opts:    o,
		users:   map[string]*user{},
		byLogin: map[string]*user{},
		byID:    map[string]*token{},
		byKey:   map[string]*token{},
	}
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
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(t.ID)) // never fails
	added := &token{TokenCreatedResponse: t, user: u, rank: hash.Sum64()}
	added.TokenCreatedResponse = added.view() // own slices
	st.tokens = append(st.tokens, added)
	st.byID[t.ID] = added
	st.byKey[t.AccessToken.Reveal()] = added
	return added
}

// activeTokens returns the tokens that keep selects and that are neither revoked
// nor expired, in order of creation.
func (st *state) activeTokens(now time.Time, keep func(*token) bool) (active []*token) {
	for _, t := range st.tokens {
		if t.DeletedAt.IsZero() && !t.Expired(now) && keep(t) {
			active = append(active, t)
		}
	}
	return active
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
// digits; any length up to 64 is accepted, so that tests can use readable ones.
func wellFormed(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, base62) == ""
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
	query  string // escaped
	header http.Header
	body   []byte
	ip     string

	id      string // of the token or customer that the path names
	user    *user  // who sends it; nil until known
	key     *token // that authenticates it; nil: none
	counted bool   // it is subject to the rate limit
}
