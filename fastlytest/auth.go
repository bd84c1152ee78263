package fastlytest

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/fastly-tokens/fastly"
)

// access is what the scopes of a key must allow for an endpoint.
type access int

const (
	accessSelf  access = iota // read the key's own token: any scope, which is a guess
	accessRead                // read other tokens
	accessUser                // read the user
	accessWrite               // change anything
)

// authenticate is the first step of every endpoint except create: it identifies
// the user, counts the request and checks the scopes. The order is that of the
// responses: 401 before 429 before 403.
func (st *state) authenticate(c *call, need access) *problem {
	if p := st.needKey(c); p != nil {
		return p
	}
	if p := st.count(c); p != nil {
		return p
	}
	return checkScopes(c.key.Scopes, need)
}

// authenticateBare is authenticate for requests without a body. A Content-Type alone
// is accepted, because generated clients send one.
func (st *state) authenticateBare(c *call, need access) *problem {
	if p := st.authenticate(c, need); p != nil {
		return p
	}
	if len(c.body) > 0 {
		return newProblem(http.StatusBadRequest, "This request takes no body")
	}
	return nil
}

// needKey is useKey for requests that need a key.
func (st *state) needKey(c *call) *problem {
	p := st.useKey(c)
	if p == nil && c.key == nil {
		return errUnauthorized
	}
	return p
}

// useKey sets c.key, its account and user if the request has an API key, and
// rejects an invalid one. An empty header counts as none.
func (st *state) useKey(c *call) *problem {
	keys := c.header.Values("Fastly-Key")
	if len(keys) == 0 || len(keys) == 1 && keys[0] == "" {
		return nil
	}
	t := st.byKey[keys[0]]
	switch {
	case len(keys) > 1, t == nil, !t.DeletedAt.IsZero(), c.now.Before(t.shows):
		return errUnauthorized
	case t.Expired(c.now):
		return expiredKey(t)
	}
	c.key, c.account, c.user = t, t.account, t.user
	t.LastUsedAt = toSecond(c.now)
	t.IP = c.ip
	t.UserAgent = c.header.Get("User-Agent")
	return nil
}

// checkScopes grants what the documented scopes are known to allow, and nothing
// to other scopes. Clients know the text about purge tokens from /current_user.
func checkScopes(scopes fastly.Scopes, need access) *problem {
	read := scopes.Has(fastly.ScopeGlobalRead)
	switch {
	case need == accessSelf, scopes.Has(fastly.ScopeGlobal), need != accessWrite && read:
		return nil
	case read:
		return errReadOnly
	case need == accessUser:
		return errPurgeToken
	}
	return errForbidden
}

// count applies the account's rate limit. Reads don't count.
func (st *state) count(c *call) *problem {
	full := c.account.full(c.now, st.opts.perHour)
	if c.method == http.MethodGet && (!full || !st.opts.limitReads) {
		return nil
	}
	c.counted = true
	if full {
		return errRateLimited
	}
	c.account.used++
	return nil
}

// login is the user name and password of a request; zero if it has none.
type login struct{ name, password string }

// checkUser rejects another user's login, and a wrong password. Empty fields are
// not checked.
func (l login) checkUser(u *user) *problem {
	if l.name != "" && l.name != u.Login {
		return errGrant
	}
	if l.password == "" {
		return nil
	}
	return u.checkPassword(l.password)
}

// basicLogin returns the login of HTTP Basic authentication. An empty pair counts
// as none: generated clients send it with every create.
func basicLogin(h http.Header) (login, *problem) {
	if len(h.Values("Authorization")) > 1 {
		return login{}, errUnauthorized
	}
	scheme, encoded, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return login{}, nil
	}
	pair, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return login{}, reject("invalid_request", "The Authorization header is not valid")
	}
	// RFC 7617 section 2: the first colon ends the user name.
	name, password, _ := strings.Cut(string(pair), ":")
	return login{name, password}, nil
}

// hasOtherScheme reports whether the request has an Authorization header that
// is not HTTP Basic.
func hasOtherScheme(h http.Header) bool {
	scheme, _, _ := strings.Cut(h.Get("Authorization"), " ")
	return scheme != "" && !strings.EqualFold(scheme, "Basic")
}
