package fastlytest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/fastly-tokens/fastly"
)

func (st *state) getSelf(c *call) (response, *problem) {
	if p := st.authenticateBare(c, accessSelf); p != nil {
		return response{}, p
	}
	return jsonResponse(tokenJSON(c.key.TokenResponse)), nil
}

func (st *state) getToken(c *call) (response, *problem) {
	if p := st.authenticateBare(c, accessRead); p != nil {
		return response{}, p
	}
	t, p := st.find(c, c.id)
	if p != nil {
		return response{}, p
	}
	if c.now.Before(t.shows) {
		return response{}, errNoToken
	}
	return jsonResponse(tokenJSON(t.TokenResponse)), nil
}

func (st *state) listUser(c *call) (response, *problem) {
	if p := st.authenticateBare(c, accessRead); p != nil {
		return response{}, p
	}
	if c.user == nil { // a guess: an automation token has no list
		return response{}, errForbidden
	}
	return st.list(c, func(t *token) bool { return t.user == c.user }), nil
}

func (st *state) listCustomer(c *call) (response, *problem) {
	if p := st.authenticateBare(c, accessRead); p != nil {
		return response{}, p
	}
	// Nor does the response show whether another customer exists.
	if !c.bySuperuser() || c.user.CustomerID != c.id {
		return response{}, errForbidden
	}
	// That the list has the automation tokens, too, is a guess.
	return st.list(c, func(t *token) bool { return t.CustomerID == c.id }), nil
}

// list returns the tokens that keep selects: a snapshot, which is marshaled
// without the lock.
func (st *state) list(c *call, keep func(*token) bool) response {
	var listed []*token
	for _, t := range st.tokens {
		if t.listed(c.now) && keep(t) {
			listed = append(listed, t)
		}
	}
	shuffle(listed)
	list := make([]fastly.TokenResponse, len(listed))
	for i, t := range listed {
		list[i] = t.TokenResponse
	}
	return response{status: http.StatusOK, header: jsonHeader(), list: list}
}

// shuffle changes the order of tokens, because the API's lists are not in order of
// creation. The same tokens are always in the same order, so that a program that
// relies on that of creation fails each time.
func shuffle(tokens []*token) {
	created := slices.Clone(tokens)
	slices.SortFunc(tokens, func(a, b *token) int { return cmp.Compare(a.rank, b.rank) })
	if slices.Equal(tokens, created) {
		slices.Reverse(tokens)
	}
}

func (st *state) revokeSelf(c *call) (response, *problem) {
	if p := st.authenticateBare(c, accessWrite); p != nil {
		return response{}, p
	}
	return st.revoke(c, c.key), nil
}

func (st *state) revokeToken(c *call) (response, *problem) {
	if p := st.authenticateBare(c, accessWrite); p != nil {
		return response{}, p
	}
	t, p := st.find(c, c.id)
	if p != nil {
		return response{}, p
	}
	return st.revoke(c, t), nil
}

func (st *state) revoke(c *call, tokens ...*token) response {
	for _, t := range tokens {
		t.hides = c.now.Add(st.opts.lag)
		t.DeletedAt = toSecond(c.now)
		t.UpdatedAt = t.DeletedAt
	}
	return response{status: http.StatusNoContent, header: http.Header{}}
}

// find returns a token that the sender may read and revoke, even if it is expired.
// For tokens of other customers it does not show that they exist. A superuser
// revokes automation tokens by ID; that they can be read and revoked in bulk, too,
// and that one has no rights over other tokens, are guesses.
func (st *state) find(c *call, id string) (*token, *problem) {
	t := st.byID[id]
	switch {
	case t == nil, !t.DeletedAt.IsZero(), t.account != c.account:
		return nil, errNoToken
	case t == c.key, c.bySuperuser(), c.user != nil && t.user == c.user:
		return t, nil
	}
	return nil, errForbidden
}

// revokeBulk revokes all tokens of the request, or none.
func (st *state) revokeBulk(c *call) (response, *problem) {
	if p := st.authenticate(c, accessWrite); p != nil {
		return response{}, p
	}
	ids, p := parseBulk(c.header, c.body)
	if p != nil {
		return response{}, p
	}
	found := make([]*token, len(ids))
	for i, id := range ids {
		found[i], p = st.find(c, id)
		if p != nil {
			return response{}, p
		}
	}
	return st.revoke(c, found...), nil
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
