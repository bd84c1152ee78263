package fastlytest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// endpoint processes a call. It returns a response or a problem.
type endpoint func(*state, *call) (response, *problem)

// resource holds the endpoints of one path, by method.
type resource map[string]endpoint

var (
	tokensResource = resource{
		http.MethodPost:   (*state).createToken,
		http.MethodGet:    (*state).listUser,
		http.MethodDelete: (*state).revokeBulk,
	}
	selfResource = resource{
		http.MethodGet:    (*state).getSelf,
		http.MethodDelete: (*state).revokeSelf,
	}
	tokenResource = resource{
		http.MethodGet:    (*state).getToken,
		http.MethodDelete: (*state).revokeToken,
	}
	customerResource = resource{http.MethodGet: (*state).listCustomer}
	sudoResource     = resource{http.MethodPost: (*state).confirmPassword}
	userResource     = resource{http.MethodGet: (*state).getCurrentUser}
)

// route returns the resource at an escaped path and the ID in it. Nothing is
// unescaped or cleaned: the API has no path that would need it.
func route(path string) (res resource, id string) {
	switch path {
	case "/tokens":
		return tokensResource, ""
	case "/tokens/self":
		return selfResource, ""
	case "/sudo":
		return sudoResource, ""
	case "/current_user":
		return userResource, ""
	}
	if id, ok := strings.CutPrefix(path, "/tokens/"); ok && wellFormed(id) {
		return tokenResource, id
	}
	if rest, ok := strings.CutPrefix(path, "/customer/"); ok {
		if id, ok := strings.CutSuffix(rest, "/tokens"); ok && wellFormed(id) {
			return customerResource, id
		}
	}
	return nil, ""
}

// allow is the value of the Allow header.
func (res resource) allow() string { return strings.Join(slices.Sorted(maps.Keys(res)), ", ") }

// process processes a call and returns its response.
func (st *state) process(c *call) response {
	res, id := route(c.path)
	ep := res[c.method]
	if ep == nil {
		return st.rejectEndpoint(c, res)
	}
	c.id = id
	resp, p := ep(st, c)
	if p != nil {
		resp = p.response()
	}
	if c.counted {
		setRateLimit(resp.header, st.opts.perHour-c.account.used, c.account.hour)
	}
	return resp
}

// rejectEndpoint responds to an unknown path, or to a method that the path does
// not have. The API checks the key first.
func (st *state) rejectEndpoint(c *call, res resource) response {
	if p := st.needKey(c); p != nil {
		return p.response()
	}
	if res == nil {
		return newProblem(http.StatusNotFound, "No such endpoint").response()
	}
	resp := newProblem(http.StatusMethodNotAllowed, "").response()
	resp.header.Set("Allow", res.allow())
	return resp
}
