package fastlytest

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
)

const maxActiveTokens = 100 // of one user

func (st *state) createToken(c *call) (response, *problem) {
	// How the API handles these is unknown. If they were ignored, the token could
	// have more rights than requested.
	if c.query != "" {
		return response{}, newProblem(http.StatusBadRequest, "Fields are sent in the body, not in the query")
	}
	form, p := parseFields(c.header, c.body)
	if p != nil {
		return response{}, p
	}
	if p := st.authenticateCreate(c, form); p != nil {
		return response{}, p
	}
	wanted, p := parseCreate(form, c.now)
	if p != nil {
		return response{}, p
	}
	active := 0
	for _, t := range st.tokens {
		if t.user == c.user && t.DeletedAt.IsZero() && !t.Expired(c.now) {
			active++
		}
	}
	if active >= maxActiveTokens {
		return response{}, errTooMany
	}
	t := st.addToken(c.user, fastly.TokenCreatedResponse{TokenResponse: wanted}, c.now)
	t.shows = c.now.Add(st.opts.lag)
	return jsonResponse(createdJSON(t.TokenCreatedResponse)), nil
}

// authenticateCreate identifies the user who creates a token, and checks the
// one-time password.
func (st *state) authenticateCreate(c *call, form url.Values) *problem {
	if p := st.useKey(c); p != nil {
		return p
	}
	basic, p := basicLogin(c.header)
	if p != nil {
		return p
	}
	byForm := login{form.Get("username"), form.Get("password")}
	if c.key != nil {
		p = st.createByKey(c, byForm, basic)
	} else {
		p = st.createByLogin(c, byForm, basic)
	}
	if p != nil {
		return p
	}
	valid := c.user.useOTP(c.header.Values("Fastly-OTP"), c.now)
	if !valid {
		return errOTP
	}
	return nil
}

// createByKey authenticates a request with a key: it must be confirmed, and of
// scope global. That logins beside it do not replace its confirmation, and must be
// those of its user, is a guess.
func (st *state) createByKey(c *call, logins ...login) *problem {
	if p := st.count(c); p != nil {
		return p
	}
	if p := checkScopes(c.key.Scopes, accessWrite); p != nil {
		return p
	}
	switch {
	case c.user == nil: // what is created is a user's
		return errForbidden
	case c.user.Locked:
		return errLocked
	case !st.opts.withoutSudo && !c.now.Before(c.key.SudoExpiresAt):
		return errSudo
	}
	for _, l := range logins {
		if p := l.checkUser(c.user); p != nil {
			return p
		}
	}
	return nil
}

// createByLogin authenticates a request without a key: by a login in the form and
// nothing else, or by HTTP Basic.
func (st *state) createByLogin(c *call, byForm, basic login) *problem {
	l := byForm
	switch {
	case byForm == login{}:
		l = basic
	case basic != login{}, hasOtherScheme(c.header), c.header.Get("Cookie") != "":
		return errOtherCredentials
	}
	switch {
	case l == login{}:
		return reject("invalid_request", "Credentials are missing: send a username and password, or a Fastly-Key header")
	case l.name == "" || l.password == "":
		return reject("invalid_request", "Both a username and a password are needed")
	}
	u := st.byLogin[l.name]
	if u == nil {
		return errGrant
	}
	if p := u.checkPassword(l.password); p != nil {
		return p
	}
	c.account, c.user = u.account, u
	return st.count(c)
}

// parseCreate reads which token a form requests. It rejects unknown fields, such
// as other spellings of services[]: the API seems to ignore those, and the token
// then has more rights than requested.
func parseCreate(form url.Values, now time.Time) (t fastly.TokenResponse, p *problem) {
	for field := range form {
		switch field {
		case "name", "scope", "services[]", "expires_at", "username", "password":
		default:
			return t, newProblem(http.StatusBadRequest,
				"A field is none of name, scope, services[], expires_at, username, password")
		}
	}
	t.Name = form.Get("name")
	if form.Has("scope") {
		t.Scopes, p = parseScopes(form.Get("scope"))
		if p != nil {
			return t, p
		}
	}
	t.Services = form["services[]"]
	for _, id := range t.Services {
		if !wellFormed(id) {
			return t, newProblem(http.StatusBadRequest, "A service ID is not valid")
		}
	}
	if form.Has("expires_at") {
		at, ok := parseTime(form.Get("expires_at"))
		if !ok || !at.After(now) {
			return t, newProblem(http.StatusUnprocessableEntity, "expires_at must be an RFC 3339 time in the future")
		}
		t.ExpiresAt = at
	}
	return t, nil
}

// parseScopes reads one or more scopes: documented ones, and those of old
// accounts.
func parseScopes(text string) (scopes fastly.Scopes, p *problem) {
	for name := range strings.SplitSeq(text, " ") {
		scope := fastly.Scope(name)
		switch scope {
		case fastly.ScopeGlobal, fastly.ScopePurgeSelect, fastly.ScopePurgeAll, fastly.ScopeGlobalRead,
			"root", "admin:write":
			if !scopes.Has(scope) {
				scopes = append(scopes, scope)
			}
		case "":
		default:
			return nil, errScope
		}
	}
	if len(scopes) == 0 { // only a missing field means the default
		return nil, errScope
	}
	return scopes, nil
}
