package fastlytest

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFaultMatching(t *testing.T) {
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

func TestInjectPanics(t *testing.T) {
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

// create and others are requests that change something, and whether they did.
func (a *api) create() (reply, error) { return a.do("POST", "/tokens", key(a.Key())) }

// startCreate sends a create and does not wait for its answer. The function it
// returns gives up on that, and returns what the client then sees.
func (a *api) startCreate() (leave func() error) {
	ctx, cancel := context.WithCancel(a.t.Context())
	seen := make(chan error, 1)
	req := a.request("POST", "/tokens", key(a.Key())).WithContext(ctx)
	go func() {
		resp, err := a.hc.Do(req)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		seen <- err
	}()
	return func() error {
		cancel()
		return <-seen
	}
}

func (a *api) created() bool { return len(a.Tokens()) > 1 }

// last is the newest request of the record.
func (a *api) last() Request {
	a.t.Helper()
	all := a.Requests()
	require.NotEmpty(a.t, all)
	return all[len(all)-1]
}

func TestFaultsThatCloseTheConnection(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		f       Fault
		created bool
	}{
		{Fault{Kind: CutBefore}, false},
		{Fault{Kind: CutAfter}, true},
		{Fault{Kind: Stall, Delay: time.Millisecond}, false},
		{Fault{Kind: StallAfter, Delay: time.Millisecond}, true},
	} {
		t.Run(string(tc.f.Kind), func(t *testing.T) {
			t.Parallel()
			a := newAPI(t)
			a.Inject(tc.f)
			_, err := a.create()
			require.ErrorIs(t, err, io.EOF, "not a byte of an answer")
			assert.Equal(t, tc.created, a.created())
			assert.Equal(t, tc.f.Kind, a.last().Fault)
			assert.Zero(t, a.last().Status)
			r, err := a.create()
			require.NoError(t, err, "the fault is over")
			assert.Equal(t, 200, r.status)
			assert.Empty(t, a.last().Fault)
		})
	}
}

func TestFaultsThatHangUntilTheClientLeaves(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		f       Fault
		created bool
		status  int
	}{
		{Fault{Kind: Stall}, false, 0},
		{Fault{Kind: StallAfter}, true, 0},
		{Fault{Kind: StallMiddle}, true, 200},
		{Fault{Kind: Delay, Delay: time.Hour}, false, 0},
		{Fault{Kind: Stall, Delay: time.Hour}, false, 0},
	} {
		t.Run(string(tc.f.Kind), func(t *testing.T) {
			t.Parallel()
			a := newAPI(t)
			a.Inject(tc.f)
			leave := a.startCreate()
			require.Eventually(t, func() bool {
				return len(a.Requests()) == 1 && a.created() == tc.created && a.last().Status == tc.status
			}, 5*time.Second, time.Millisecond)
			require.ErrorIs(t, leave(), context.Canceled)
			assert.Equal(t, tc.created, a.created())
			assert.Equal(t, tc.status, a.last().Status)
		})
	}
}

func TestCutMiddle(t *testing.T) {
	t.Parallel()
	for _, kind := range []FaultKind{CutMiddle, StallMiddle} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			a := newAPI(t)
			a.token(a.User().ID, "T")
			whole := a.send("GET", "/tokens/T", key(a.Key())).body
			fault := func(keep int) { a.Inject(Fault{Kind: kind, Keep: keep, Delay: time.Millisecond}) }

			fault(0)
			r, err := a.do("GET", "/tokens/T", key(a.Key()))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.Equal(t, 200, r.status)
			assert.Equal(t, "application/json", r.header.Get("Content-Type"))
			assert.Equal(t, int64(len(whole)), r.length)
			assert.Equal(t, whole[:len(whole)/2], r.body)

			fault(5)
			r, err = a.do("GET", "/tokens/T", key(a.Key()))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.Equal(t, whole[:5], r.body)

			fault(1 << 20)
			r, err = a.do("GET", "/tokens/T", key(a.Key()))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.Equal(t, whole, r.body, "all of it, and yet not the end")

			fault(0)
			r, err = a.do("GET", "/tokens", key(a.Key()))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.Equal(t, []string{"chunked"}, r.te)
			assert.True(t, strings.HasPrefix(r.body, `[{"id":`), r.body)
			assert.False(t, json.Valid([]byte(r.body)))

			fault(0)
			r, err = a.do("DELETE", "/tokens/T", key(a.Key()))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "an answer without a body gets one to cut")
			assert.Equal(t, 200, r.status)
			assert.True(t, a.revoked("T"))

			fault(0)
			r, err = a.do("GET", "/tokens/none", key(a.Key()))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.Equal(t, 404, r.status, "the right status")
			assert.Equal(t, 404, a.last().Status)
		})
	}
}

func TestStatusFaults(t *testing.T) {
	t.Parallel()
	end := start.Truncate(time.Hour).Add(time.Hour)
	for _, tc := range []struct {
		name   string
		f      Fault
		status int
		header http.Header
		body   string
	}{
		{"default", Fault{}, 503, http.Header{"Content-Type": {"application/json"}}, `{"msg":"Service Unavailable"}`},
		{"500", Fault{Status: 500}, 500, nil, `{"msg":"Internal Server Error"}`},
		{"401", Fault{Status: 401}, 401, nil, `{"msg":"Provided credentials are missing or invalid"}`},
		{"429", Fault{Status: 429}, 429, http.Header{
			"Fastly-Ratelimit-Remaining": {"0"},
			"Fastly-Ratelimit-Reset":     {strconv.FormatInt(end.Unix(), 10)},
		}, `{"msg":"You have exceeded your hourly rate limit"}`},
		{"429 with headers", Fault{Status: 429, Header: http.Header{"fastly-ratelimit-reset": {"7"}, "Retry-After": {"1"}}}, 429, http.Header{
			"Fastly-Ratelimit-Reset": {"7"},
			"Retry-After":            {"1"},
		}, `{"msg":"You have exceeded your hourly rate limit"}`},
		{"204", Fault{Status: 204}, 204, http.Header{"Content-Type": nil}, ""},
		{"200", Fault{Status: 200, Body: "[]"}, 200, http.Header{"Content-Type": {"application/json"}}, "[]"},
		{"HTML", Fault{Status: 502, Body: "<html><h1>no</h1>"}, 502, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, "<html><h1>no</h1>"},
		{"typed", Fault{Status: 400, Body: `{"msg":"no"}`, Header: http.Header{"Content-Type": {"text/plain"}}}, 400, http.Header{"Content-Type": {"text/plain"}}, `{"msg":"no"}`},
	} {
		for _, kind := range []FaultKind{Status, StatusAfter} {
			t.Run(tc.name+" "+string(kind), func(t *testing.T) {
				t.Parallel()
				a := newAPI(t)
				f := tc.f
				f.Kind = kind
				a.Inject(f)
				r, err := a.create()
				require.NoError(t, err)
				assert.Equal(t, tc.status, r.status)
				assert.Equal(t, tc.body, r.body)
				for name, values := range tc.header {
					assert.Equal(t, values, r.header[name], name)
				}
				assert.Equal(t, kind == StatusAfter, a.created())
				assert.Equal(t, tc.status, a.last().Status)
				assert.Equal(t, kind, a.last().Fault)
			})
		}
	}
}

func TestInjectKeepsItsOwnHeader(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	h := http.Header{"X": {"1"}}
	a.Inject(Fault{Kind: Status, Header: h})
	h.Set("X", "2")
	assert.Equal(t, "1", a.send("GET", "/tokens").header.Get("X"))
}

func TestGarbage(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.Inject(Fault{Kind: Garbage})
	r, err := a.create()
	require.NoError(t, err)
	assert.Equal(t, 200, r.status)
	assert.Equal(t, "text/html; charset=utf-8", r.header.Get("Content-Type"))
	assert.Equal(t, captivePortal, r.body)
	assert.True(t, a.created())

	a.Inject(Fault{Kind: Garbage, Body: "{", Header: http.Header{"Content-Type": {"application/json"}}})
	r, err = a.create()
	require.NoError(t, err)
	assert.Equal(t, "{", r.body)
	assert.Equal(t, []string{"application/json"}, r.header["Content-Type"])
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.Inject(Fault{Kind: Redirect, Location: "http://127.0.0.1:1/x"})
	a.Inject(Fault{Kind: Redirect, Location: "/tokens/self", Status: 302, Body: "moved"})
	r, err := a.create()
	require.NoError(t, err)
	assert.Equal(t, 307, r.status)
	assert.Equal(t, "http://127.0.0.1:1/x", r.header.Get("Location"))
	assert.Empty(t, r.body)
	r, err = a.create()
	require.NoError(t, err)
	assert.Equal(t, 302, r.status)
	assert.Equal(t, "/tokens/self", r.header.Get("Location"))
	assert.Equal(t, "moved", r.body)
	assert.False(t, a.created())
}

func TestDelay(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.Inject(Fault{Kind: Delay, Delay: 30 * time.Millisecond})
	began := time.Now()
	r, err := a.create()
	require.NoError(t, err)
	assert.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond)
	assert.Equal(t, 200, r.status)
	assert.True(t, a.created())
	assert.Equal(t, Delay, a.last().Fault)
}

func TestEndless(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.Inject(Fault{Kind: Endless, Times: -1})
	read := func(method, path string, n int64) string {
		resp, err := a.hc.Do(a.request(method, path, key(a.Key())))
		require.NoError(t, err)
		defer resp.Body.Close()
		assert.Equal(t, 200, resp.StatusCode)
		var b strings.Builder
		_, err = io.CopyN(&b, resp.Body, n)
		require.NoError(t, err, "it goes on")
		return b.String()
	}

	list := json.NewDecoder(strings.NewReader(read("GET", "/tokens", 1<<20)))
	_, err := list.Token()
	require.NoError(t, err)
	for range 1000 {
		var token map[string]any
		require.NoError(t, list.Decode(&token))
		assert.Len(t, token["id"], 22)
	}
	assert.True(t, strings.HasPrefix(read("POST", "/tokens", 1<<20), `{"name":"endless `))
	assert.True(t, a.created())
	assert.True(t, strings.HasPrefix(read("GET", "/tokens/unknown", 1<<10), `{"name":"endless `))
	self := a.Tokens()[0].ID
	assert.True(t, strings.HasPrefix(read("DELETE", "/tokens/"+self, 1<<20), `{"name":"endless `))
	assert.True(t, a.revoked(self))

	r := a.send("HEAD", "/tokens")
	assert.Equal(t, 200, r.status, "no body, no end to miss")
	for _, r := range a.Requests() {
		assert.Equal(t, 200, r.Status)
	}
}

func TestClearFaults(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.Inject(Fault{Kind: CutBefore, Times: -1})
	_, err := a.create()
	require.Error(t, err)
	a.ClearFaults()
	_, err = a.create()
	require.NoError(t, err)
}

// A stalled or endless answer must not keep Close waiting, whether the client
// reads it or not.
func TestCloseEndsEveryAnswer(t *testing.T) {
	t.Parallel()
	for _, kind := range []FaultKind{Stall, StallAfter, StallMiddle, Endless, Delay} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			a := newAPI(t)
			a.Inject(Fault{Kind: kind, Delay: time.Hour})
			failed := make(chan error, 1)
			go func() {
				resp, err := a.hc.Get(a.URL + "/tokens")
				if err == nil {
					defer resp.Body.Close()
					br := bufio.NewReader(resp.Body)
					if _, err = br.ReadByte(); err == nil {
						<-t.Context().Done() // reads no further
					}
				}
				failed <- err
			}()
			require.Eventually(t, func() bool { return len(a.Requests()) == 1 }, 5*time.Second, time.Millisecond)
			if kind == Endless || kind == StallMiddle {
				require.Eventually(t, func() bool { return a.last().Status != 0 }, 5*time.Second, time.Millisecond)
			}
			began := time.Now()
			a.Close()
			assert.Less(t, time.Since(began), 3*time.Second)
			if kind == Stall || kind == StallAfter || kind == Delay {
				require.Error(t, <-failed)
			}
		})
	}
}
