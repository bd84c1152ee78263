package fastlytest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFirstFaultThatMatchesAndIsDueAffectsARequest(t *testing.T) {
	t.Parallel()
	const get, post, del = "GET /tokens", "POST /tokens", "DELETE /tokens/abc"
	for _, tc := range []struct {
		name     string
		faults   []Fault
		requests []string
		want     string // one letter for each request
	}{
		{"no faults", nil, []string{get, post}, ".."},
		{"once", []Fault{{Kind: "a"}}, []string{get, get}, "a."},
		{"times", []Fault{{Kind: "a", Times: 2}}, []string{get, get, get}, "aa."},
		{"no end", []Fault{{Kind: "a", Times: -1}}, []string{get, get, get}, "aaa"},
		{"every", []Fault{{Kind: "a", Times: -1, Every: 2}}, []string{get, get, get, get}, ".a.a"},
		{"every, twice", []Fault{{Kind: "a", Times: 2, Every: 2}}, []string{get, get, get, get, get, get}, ".a.a.."},
		{"every first", []Fault{{Kind: "a", Times: 2, Every: 1}}, []string{get, get, get}, "aa."},
		{"method", []Fault{{Kind: "a", Times: -1, Method: "POST"}}, []string{get, post, del}, ".a."},
		{"path", []Fault{{Kind: "a", Times: -1, Path: "/tokens"}}, []string{get, post, del}, "aa."},
		{"prefix", []Fault{{Kind: "a", Times: -1, Path: "/tokens/*"}}, []string{get, del}, ".a"},
		{"any", []Fault{{Kind: "a", Times: -1, Path: "*"}}, []string{get, del, "GET *"}, "aaa"},
		{"both", []Fault{{Kind: "a", Times: -1, Method: "GET", Path: "/tokens"}}, []string{get, post, del}, "a.."},
		{"others do not count", []Fault{{Kind: "a", Method: "POST"}}, []string{get, get, post, post}, "..a."},
		{"others do not count for every", []Fault{{Kind: "a", Every: 2, Method: "POST"}}, []string{post, get, post}, "..a"},
		{"in turn", []Fault{{Kind: "a"}, {Kind: "b"}, {Kind: "c"}}, []string{get, get, get, get}, "abc."},
		{"first that matches", []Fault{{Kind: "a", Method: "POST"}, {Kind: "b"}}, []string{get, post, get}, "ba."},
		{"first that is due", []Fault{{Kind: "a", Times: -1, Every: 3}, {Kind: "b", Times: -1, Every: 2}},
			[]string{get, get, get, get, get, get}, ".ba.ba"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var fs faults
			for _, f := range tc.faults {
				fs = append(fs, &pending{Fault: f})
			}
			got := ""
			for _, r := range tc.requests {
				method, path, _ := strings.Cut(r, " ")
				if f := fs.next(method, path); f.Kind == "" {
					got += "."
				} else {
					got += string(f.Kind)
				}
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestInjectPanicsOnAnInvalidFault(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for name, f := range map[string]Fault{
		"no kind":      {},
		"unknown kind": {Kind: "nonsense"},
		"status":       {Kind: Status, Status: 100},
		"large status": {Kind: Status, Status: 1000},
		"location":     {Kind: Redirect},
		"every":        {Kind: Stall, Every: -1},
		"delay":        {Kind: Delay, Delay: -1},
		"keep":         {Kind: CutMiddle, Keep: -1},
	} {
		assert.Panics(t, func() { a.Inject(f) }, name)
	}
	assert.Equal(t, 200, a.send("GET", "/tokens", key(a.Key())).status, "and nothing is injected")
}

// create sends a create, and created reports whether one was processed.
func (a *api) create() (reply, error) { return a.do("POST", "/tokens", loggedIn(a.User())) }

func (a *api) created() bool { return len(a.Tokens()) > 1 }

// last is the newest request of the record.
func (a *api) last() Request {
	a.t.Helper()
	all := a.Requests()
	require.NotEmpty(a.t, all)
	return all[len(all)-1]
}

func TestInjectKeepsItsOwnHeader(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	h := http.Header{"X": {"1"}}
	a.Inject(Fault{Kind: Status, Header: h})
	h.Set("X", "2")
	assert.Equal(t, "1", a.send("GET", "/tokens").header.Get("X"))
}

func TestClearFaultsRemovesAllFaults(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.Inject(Fault{Kind: CutBefore, Times: -1})
	_, err := a.create()
	require.Error(t, err)
	a.ClearFaults()
	_, err = a.create()
	require.NoError(t, err)
}
