package fastlytest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/fastly-tokens/fastly"
)

// access is what an endpoint asks of the scopes of a key.
type access int

const (
	accessSelf  access = iota // look at the key itself
	accessRead                // look at others
	accessWrite               // change anything
)

// allows reports whether a key with the scopes has the access.
func allows(scopes fastly.Scopes, a access) bool {
	switch a {
	case accessSelf:
		return true
	case accessRead:
		return scopes.Has(fastly.ScopeGlobal) || scopes.Has(fastly.ScopeGlobalRead)
	default:
		return scopes.Has(fastly.ScopeGlobal)
	}
}

// enter is how every endpoint but create begins: it finds out who asks, counts
// the request and checks the scopes. The order is that of the answers: 401
// before 429 before 403.
func (st *state) enter(c *call, need access) *problem {
	if p := st.useKey(c); p != nil {
		return p
	}
	if c.key == nil {
		return errUnauthorized
	}
	c.user = c.key.user
	if p := st.count(c); p != nil {
		return p
	}
	if !allows(c.key.Scopes, need) {
		return errForbidden
	}
	return nil
}

// useKey sets c.key if the request has an API key and refuses one that is not
// valid. An empty header is none.
func (st *state) useKey(c *call) *problem {
	keys := c.header.Values("Fastly-Key")
	if len(keys) == 0 || len(keys) == 1 && keys[0] == "" {
		return nil
	}
	t := st.byKey[keys[0]]
	if len(keys) > 1 || t == nil || !t.active(c.now) {
		return errUnauthorized
	}
	c.key = t
	t.LastUsedAt = toSecond(c.now)
	t.IP = c.ip
	t.UserAgent = c.header.Get("User-Agent")
	return nil
}

// enterCreate finds out who asks for a token: the form's username and password,
// else those of HTTP Basic, else the key; one-time password included.
func (st *state) enterCreate(c *call, form url.Values) *problem {
	if p := st.useKey(c); p != nil {
		return p
	}
	login, password, p := createCredentials(c.header, form)
	switch {
	case p != nil:
		return p
	case login != "":
		if c.user, p = st.checkPassword(login, password); p != nil {
			return p
		}
	case c.key == nil:
		return refuse("invalid_request", "Credentials are missing: send a username and password or a Fastly-Key header")
	case c.key.user.Locked:
		return errLocked
	default:
		c.user = c.key.user
	}
	if !c.user.validOTP(c.header.Values("Fastly-OTP"), c.now) {
		return refuse("2fa.verify", "A valid one-time password is needed in the Fastly-OTP header")
	}
	if p := st.count(c); p != nil {
		return p
	}
	if login != "" { // a password outranks the scopes of a key
		c.user.sudo(c.now)
		return nil
	}
	if !allows(c.key.Scopes, accessWrite) {
		return errForbidden
	}
	return c.needSudo()
}

// createCredentials returns the username and password that a create carries, in
// the form or as HTTP Basic; both are empty if it carries none.
func createCredentials(h http.Header, form url.Values) (login, password string, p *problem) {
	if form.Get("username") != "" || form.Get("password") != "" {
		return formCredentials(form)
	}
	scheme, encoded, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", nil
	}
	// RFC 7617: the first colon ends the user name. What cannot be decoded is
	// as good as empty.
	pair, _ := base64.StdEncoding.DecodeString(strings.TrimLeft(encoded, " "))
	login, password, _ = strings.Cut(string(pair), ":")
	return login, password, needBoth(login, password)
}

func formCredentials(form url.Values) (login, password string, p *problem) {
	login, password = form.Get("username"), form.Get("password")
	return login, password, needBoth(login, password)
}

func needBoth(login, password string) *problem {
	if login == "" || password == "" {
		return refuse("invalid_request", "Both a username and a password are needed")
	}
	return nil
}

func (st *state) checkPassword(login, password string) (*user, *problem) {
	u := st.byLogin[login]
	switch {
	case u == nil:
		return nil, errGrant
	case u.Locked:
		return nil, errLocked
	case u.Password != password:
		u.failures++
		u.Locked = u.failures >= maxFailures
		return nil, errGrant
	}
	u.failures = 0
	return u, nil
}

// needSudo refuses a user who has to confirm the password first.
func (c *call) needSudo() *problem {
	if c.user.SudoRequired && !c.now.Before(c.user.sudoUntil) {
		return errSudo
	}
	return nil
}

// count applies the rate limit, which is for requests that are not reads.
func (st *state) count(c *call) *problem {
	if c.method == http.MethodGet {
		return nil
	}
	c.counted = true
	if !c.user.count(c.now, st.perHour) {
		return errRateLimited
	}
	return nil
}
