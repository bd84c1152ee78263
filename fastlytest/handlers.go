package fastlytest

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
)

func (st *state) createToken(c *call) (answer, *problem) {
	form, p := parseForm(c.header, c.body)
	if p != nil {
		return answer{}, p
	}
	if p := st.enterCreate(c, form); p != nil {
		return answer{}, p
	}
	wanted, p := parseCreate(form, c.now)
	if p != nil {
		return answer{}, p
	}
	active := 0
	st.activeTokens(c.now, func(t *token) {
		if t.user == c.user {
			active++
		}
	})
	if active >= maxActiveTokens {
		return answer{}, errTooMany
	}
	t := st.addToken(c.user, fastly.TokenCreatedResponse{TokenResponse: wanted}, c.now)
	return jsonAnswer(createdJSON(t.shown())), nil
}

func (st *state) getSelf(c *call) (answer, *problem) {
	if p := st.enter(c, accessSelf); p != nil {
		return answer{}, p
	}
	if p := c.noBody(); p != nil {
		return answer{}, p
	}
	return jsonAnswer(tokenJSON(c.key.shown().TokenResponse)), nil
}

func (st *state) getToken(c *call) (answer, *problem) {
	if p := st.enter(c, accessRead); p != nil {
		return answer{}, p
	}
	if p := c.noBody(); p != nil {
		return answer{}, p
	}
	t, p := st.find(c, c.id)
	if p != nil {
		return answer{}, p
	}
	return jsonAnswer(tokenJSON(t.shown().TokenResponse)), nil
}

func (st *state) listUser(c *call) (answer, *problem) {
	if p := st.enter(c, accessRead); p != nil {
		return answer{}, p
	}
	return st.list(c, func(t *token) bool { return t.user == c.user })
}

func (st *state) listCustomer(c *call) (answer, *problem) {
	if p := st.enter(c, accessRead); p != nil {
		return answer{}, p
	}
	// Which other customers exist is not for this one to know.
	if !c.user.Superuser || c.user.CustomerID != c.id {
		return answer{}, errForbidden
	}
	return st.list(c, func(t *token) bool { return t.CustomerID == c.id })
}

// list answers the active tokens that keep wants. What it takes is a snapshot,
// to be written when the lock is gone.
func (st *state) list(c *call, keep func(*token) bool) (answer, *problem) {
	if p := c.noBody(); p != nil {
		return answer{}, p
	}
	list := []fastly.TokenResponse{}
	st.activeTokens(c.now, func(t *token) {
		if keep(t) {
			list = append(list, t.shown().TokenResponse)
		}
	})
	return answer{status: http.StatusOK, header: jsonHeader(), list: list}, nil
}

func (st *state) revokeSelf(c *call) (answer, *problem) {
	if p := st.enterRevoke(c); p != nil {
		return answer{}, p
	}
	return revoke(c, c.key), nil
}

func (st *state) revokeToken(c *call) (answer, *problem) {
	if p := st.enterRevoke(c); p != nil {
		return answer{}, p
	}
	t, p := st.find(c, c.id)
	if p != nil {
		return answer{}, p
	}
	return revoke(c, t), nil
}

func (st *state) enterRevoke(c *call) *problem {
	if p := st.enter(c, accessWrite); p != nil {
		return p
	}
	if p := c.noBody(); p != nil {
		return p
	}
	return c.needSudo()
}

func (st *state) revokeBulk(c *call) (answer, *problem) {
	if p := st.enter(c, accessWrite); p != nil {
		return answer{}, p
	}
	ids, p := parseBulk(c.header, c.body)
	if p != nil {
		return answer{}, p
	}
	if p := c.needSudo(); p != nil {
		return answer{}, p
	}
	found := make([]*token, len(ids))
	for i, id := range ids {
		if found[i], p = st.find(c, id); p != nil {
			return answer{}, p
		}
	}
	return revoke(c, found...), nil
}

func revoke(c *call, tokens ...*token) answer {
	for _, t := range tokens {
		t.DeletedAt = toSecond(c.now)
		t.UpdatedAt = t.DeletedAt
	}
	return answer{status: http.StatusNoContent, header: http.Header{}}
}

// confirmPassword is POST /sudo. Only the key's own user can be confirmed.
func (st *state) confirmPassword(c *call) (answer, *problem) {
	if p := st.enter(c, accessWrite); p != nil {
		return answer{}, p
	}
	form, p := parseForm(c.header, c.body)
	if p != nil {
		return answer{}, p
	}
	login, password, p := formCredentials(form)
	if p != nil {
		return answer{}, p
	}
	if login != c.user.Login {
		return answer{}, errGrant
	}
	if _, p := st.checkPassword(login, password); p != nil {
		return answer{}, p
	}
	c.user.sudo(c.now)
	return jsonAnswer(map[string]*string{"expiry_time": stamp(c.user.sudoUntil)}), nil
}

// find returns a token that the user may read and revoke. An expired one can
// still be found; of those of other customers nothing is let out.
func (st *state) find(c *call, id string) (*token, *problem) {
	t := st.byID[id]
	switch {
	case t == nil, !t.DeletedAt.IsZero(), t.CustomerID != c.user.CustomerID:
		return nil, errNoToken
	case t.user != c.user && !c.user.Superuser:
		return nil, errForbidden
	}
	return t, nil
}

// noBody refuses a body where the API takes none. Its Content-Type alone does
// no harm: generated clients send one.
func (c *call) noBody() *problem {
	if len(c.body) > 0 {
		return newProblem(http.StatusBadRequest, "This request takes no body")
	}
	return nil
}

// mediaType reports whether the one Content-Type is want, and returns its
// parameters.
func mediaType(h http.Header, want string) (params map[string]string, ok bool) {
	values := h.Values("Content-Type")
	if len(values) != 1 {
		return nil, false
	}
	got, params, err := mime.ParseMediaType(values[0])
	return params, err == nil && got == want
}

// parseForm reads a body of form fields. No body is no fields.
func parseForm(h http.Header, body []byte) (url.Values, *problem) {
	if len(body) == 0 {
		return nil, nil
	}
	const want = "application/x-www-form-urlencoded"
	if _, ok := mediaType(h, want); !ok {
		return nil, newProblem(http.StatusUnsupportedMediaType, "The Content-Type must be "+want)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, "The body is not a valid form")
	}
	for _, field := range []string{"name", "scope", "expires_at", "username", "password"} {
		if len(form[field]) > 1 {
			return nil, newProblem(http.StatusBadRequest, "The field "+field+" is there more than once")
		}
	}
	return form, nil
}

// parseCreate reads what token a form asks for.
func parseCreate(form url.Values, now time.Time) (t fastly.TokenResponse, p *problem) {
	t.Name = form.Get("name")
	for name := range strings.SplitSeq(form.Get("scope"), " ") {
		switch scope := fastly.Scope(name); scope {
		case fastly.ScopeGlobal, fastly.ScopePurgeSelect, fastly.ScopePurgeAll, fastly.ScopeGlobalRead:
			if !t.Scopes.Has(scope) {
				t.Scopes = append(t.Scopes, scope)
			}
		case "":
		default:
			return t, refuse("invalid_scope", "The scope is not one of global, purge_select, purge_all, global:read")
		}
	}
	for field := range form {
		// Ignored like other unknown fields, it would make a token for every
		// service out of one that was meant for a few.
		if field != "services[]" && (field == "services" || strings.HasPrefix(field, "services[")) {
			return t, newProblem(http.StatusBadRequest, "Services are sent as services[], once for each")
		}
	}
	t.Services = form["services[]"]
	if !allWellFormed(t.Services) {
		return t, newProblem(http.StatusBadRequest, "A service ID is not valid")
	}
	if form.Has("expires_at") {
		var ok bool
		if t.ExpiresAt, ok = parseTime(form.Get("expires_at")); !ok || !t.ExpiresAt.After(now) {
			return t, newProblem(http.StatusUnprocessableEntity, "expires_at must be an RFC 3339 time in the future")
		}
	}
	return t, nil
}

// rfc3339 is the form of a time; its ranges are left to package time, but for
// those of the offset. Package time alone would let "T2:04:05,5Z" through.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// parseTime reads a time to the second. It has to have four digits of year in
// UTC, too.
func parseTime(s string) (time.Time, bool) {
	s = strings.ToUpper(s) // RFC 3339 section 5.6: t and z will do
	if !rfc3339.MatchString(s) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, s)
	t = toSecond(t)
	return t, err == nil && t.Year() >= 0 && t.Year() <= 9999
}

func allWellFormed(ids []string) bool {
	return !slices.ContainsFunc(ids, func(id string) bool { return !wellFormed(id) })
}

// parseBulk reads the IDs of a bulk revoke (JSON:API, bulk extension). Names
// are compared to the letter, which decoding into structs would not do.
func parseBulk(h http.Header, body []byte) (ids []string, p *problem) {
	if params, ok := mediaType(h, "application/vnd.api+json"); !ok || params["ext"] != "bulk" {
		return nil, newProblem(http.StatusUnsupportedMediaType, "The Content-Type must be application/vnd.api+json; ext=bulk")
	}
	bad := newProblem(http.StatusBadRequest, `The body must be {"data":[{"type":"token","id":"…"}]} with one or more tokens`)
	var doc map[string]any
	if err := json.Unmarshal(bytes.TrimSpace(body), &doc); err != nil {
		return nil, bad
	}
	data, _ := doc["data"].([]any)
	for _, item := range data {
		object, _ := item.(map[string]any)
		id, _ := object["id"].(string)
		if object["type"] != "token" || id == "" {
			return nil, bad
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, bad
	}
	return ids, nil
}
