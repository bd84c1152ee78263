package fastlytest

import (
	"net/http"
	"slices"
	"strings"
)

// endpoint carries out a call. It returns an answer or a problem.
type endpoint func(*state, *call) (answer, *problem)

// resource is the endpoints of one path, by method.
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
)

// route returns the resource at an escaped path and the ID in it. Nothing is
// unescaped or cleaned: a path that would need it is none of the API's.
func route(path string) (res resource, id string) {
	switch path {
	case "/tokens":
		return tokensResource, ""
	case "/tokens/self":
		return selfResource, ""
	case "/sudo":
		return sudoResource, ""
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
func (res resource) allow() string {
	methods := make([]string, 0, len(res))
	for m := range res {
		methods = append(methods, m)
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// do carries out a call and makes its answer.
func (st *state) do(c *call) answer {
	res, id := route(c.path)
	if res == nil {
		return newProblem(http.StatusNotFound, "No such endpoint").answer()
	}
	ep := res[c.method]
	if ep == nil {
		a := newProblem(http.StatusMethodNotAllowed, "").answer()
		a.header.Set("Allow", res.allow())
		return a
	}
	c.id = id
	a, p := ep(st, c)
	if p != nil {
		a = p.answer()
	}
	if c.counted {
		setRateLimit(a.header, st.perHour-c.user.used, c.user.hour)
	}
	return a
}
