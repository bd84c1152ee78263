package fastlytest

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// overEach runs a test over both protocols.
func overEach(t *testing.T, test func(t *testing.T, newAPI func(*testing.T, ...Option) *api)) {
	t.Helper()
	for name, newAPI := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newAPI)
		})
	}
}

// startCreate sends a create and does not wait for its response. The function
// it returns gives up on that, and returns what the client then sees.
func (a *api) startCreate() (leave func() error) {
	ctx, cancel := context.WithCancel(a.t.Context())
	seen := make(chan error, 1)
	req := a.request("POST", "/tokens", loggedIn(a.User())).WithContext(ctx)
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

// assertCut checks that err is what a client sees of a cut: the end of the
// connection, or over HTTP/2 of the stream.
func (r reply) assertCut(t *testing.T, err, http1 error) {
	t.Helper()
	if r.proto == 2 {
		require.ErrorContains(t, err, "INTERNAL_ERROR", "a stream reset")
		return
	}
	require.ErrorIs(t, err, http1)
}

func TestFaultsWithoutAResponse(t *testing.T) {
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
			overEach(t, func(t *testing.T, newAPI func(*testing.T, ...Option) *api) {
				a := newAPI(t)
				proto := a.send("GET", "/tokens", key(a.Key())).proto
				a.Inject(tc.f)
				_, err := a.create()
				reply{proto: proto}.assertCut(t, err, io.EOF)
				assert.Equal(t, tc.created, a.created())
				assert.Equal(t, tc.f.Kind, a.last().Fault)
				assert.Zero(t, a.last().Status)
				r, err := a.create()
				require.NoError(t, err, "the fault is over")
				assert.Equal(t, 200, r.status)
				assert.Empty(t, a.last().Fault)

				all := a.Requests()
				assert.Equal(t, all[0].RemoteAddr, all[1].RemoteAddr)
				assert.Equal(t, proto == 2, all[1].RemoteAddr == all[2].RemoteAddr, "over HTTP/2 the connection goes on")
			})
		})
	}
}

func TestFaultsThatHangUntilTheClientLeaves(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		f       Fault
		created bool
		status  int
	}{
		"stall":        {Fault{Kind: Stall}, false, 0},
		"stall after":  {Fault{Kind: StallAfter}, true, 0},
		"stall middle": {Fault{Kind: StallMiddle}, true, 200},
		"delay":        {Fault{Kind: Delay, Delay: time.Hour}, false, 0},
		"stall, limit": {Fault{Kind: Stall, Delay: time.Hour}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			overEach(t, func(t *testing.T, newAPI func(*testing.T, ...Option) *api) {
				a := newAPI(t)
				a.Inject(tc.f)
				leave := a.startCreate()
				require.Eventually(t, func() bool {
					return len(a.Requests()) == 1 && a.created() == tc.created && a.last().Status == tc.status
				}, soon, time.Millisecond)
				require.ErrorIs(t, leave(), context.Canceled)
				assert.Equal(t, tc.created, a.created())
				assert.Equal(t, tc.status, a.last().Status)
			})
		})
	}
}

func TestFaultsInTheMiddleOfTheBody(t *testing.T) {
	t.Parallel()
	for _, kind := range []FaultKind{CutMiddle, StallMiddle} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			overEach(t, func(t *testing.T, newAPI func(*testing.T, ...Option) *api) {
				testFaultInTheMiddle(t, newAPI(t), kind)
			})
		})
	}
}

func testFaultInTheMiddle(t *testing.T, a *api, kind FaultKind) {
	t.Helper()
	a.token(a.User().ID, "T")
	whole := a.send("GET", "/tokens/T", key(a.Key())).body
	send := func(keep int, method, path string, mods ...mod) reply {
		a.Inject(Fault{Kind: kind, Keep: keep, Delay: time.Millisecond})
		r, err := a.do(method, path, append(mods, key(a.Key()))...)
		r.assertCut(t, err, io.ErrUnexpectedEOF)
		return r
	}

	r := send(0, "GET", "/tokens/T")
	assert.Equal(t, 200, r.status)
	assert.Equal(t, "application/json", r.header.Get("Content-Type"))
	assert.Equal(t, int64(-1), r.length)
	assert.Equal(t, whole[:len(whole)/2], r.body)
	assert.Equal(t, whole[:5], send(5, "GET", "/tokens/T").body)
	assert.Equal(t, whole, send(1<<20, "GET", "/tokens/T").body, "all of it, and yet not the end")

	r = send(0, "GET", "/tokens")
	assert.True(t, strings.HasPrefix(r.body, `[{"id":`), r.body)
	assert.False(t, json.Valid([]byte(r.body)))

	// Keep counts bytes on the wire.
	zipped := a.send("GET", "/tokens/T", key(a.Key()), header("Accept-Encoding", "gzip")).body
	r = send(20, "GET", "/tokens/T", header("Accept-Encoding", "gzip"))
	assert.Equal(t, "gzip", r.header.Get("Content-Encoding"))
	assert.Equal(t, zipped[:20], r.body)
	assert.Equal(t, zipped, send(len(zipped), "GET", "/tokens/T", header("Accept-Encoding", "gzip")).body)

	r = send(0, "DELETE", "/tokens/T")
	assert.Equal(t, 200, r.status, "a response without a body gets one to cut")
	assert.Equal(t, "200 OK", r.header.Get("Status"))
	assert.NotEmpty(t, r.header.Get("Fastly-RateLimit-Remaining"))
	assert.True(t, a.revoked("T"))

	r = send(0, "GET", "/tokens/none")
	assert.Equal(t, 404, r.status, "the right status")
	assert.Equal(t, 404, a.last().Status)
}

func TestDelayedRequestIsProcessedLater(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, newAPI func(*testing.T, ...Option) *api) {
		a := newAPI(t)
		a.Inject(Fault{Kind: Delay, Delay: 30 * time.Millisecond})
		began := time.Now()
		r, err := a.create()
		require.NoError(t, err)
		assert.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond)
		assert.Equal(t, 200, r.status)
		assert.True(t, a.created())
		assert.Equal(t, Delay, a.last().Fault)
	})
}

func TestEndlessResponses(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, newAPI func(*testing.T, ...Option) *api) {
		a := newAPI(t)
		a.Inject(Fault{Kind: Endless, Times: -1})
		read := func(n int64, method, path string, mods ...mod) string {
			resp, err := a.hc.Do(a.request(method, path, mods...))
			require.NoError(t, err)
			defer resp.Body.Close()
			assert.Equal(t, 200, resp.StatusCode)
			assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
			assert.Empty(t, resp.Header.Get("Content-Encoding"))
			var b strings.Builder
			_, err = io.CopyN(&b, resp.Body, n)
			require.NoError(t, err, "it goes on")
			return b.String()
		}

		list := json.NewDecoder(strings.NewReader(read(1<<20, "GET", "/tokens", key(a.Key()), header("Accept-Encoding", "gzip"))))
		_, err := list.Token()
		require.NoError(t, err)
		for range 1000 {
			var token map[string]any
			require.NoError(t, list.Decode(&token))
			assert.Len(t, token["id"], 22)
		}
		assert.True(t, strings.HasPrefix(read(1<<20, "POST", "/tokens", loggedIn(a.User())), `{"name":"endless `))
		assert.True(t, a.created())
		assert.True(t, strings.HasPrefix(read(1<<10, "GET", "/tokens/unknown", key(a.Key())), `{"name":"endless `))
		self := a.Tokens()[0].ID
		assert.True(t, strings.HasPrefix(read(1<<20, "DELETE", "/tokens/"+self, key(a.Key())), `{"name":"endless `))
		assert.True(t, a.revoked(self))

		r := a.send("HEAD", "/tokens")
		assert.Equal(t, 200, r.status, "no body, no end to miss")
		for _, r := range a.Requests() {
			assert.Equal(t, 200, r.Status)
		}
	})
}

// A stalled or endless response must not keep Close waiting, whether the client
// reads it or not.
func TestCloseEndsEveryResponse(t *testing.T) {
	t.Parallel()
	for _, kind := range []FaultKind{Stall, StallAfter, StallMiddle, Endless, Delay} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			overEach(t, func(t *testing.T, newAPI func(*testing.T, ...Option) *api) {
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
				begins := kind == Endless || kind == StallMiddle
				require.Eventually(t, func() bool {
					return len(a.Requests()) == 1 && begins == (a.last().Status != 0)
				}, soon, time.Millisecond)
				a.closesSoon()
				if !begins {
					require.Error(t, <-failed)
				}
			})
		})
	}
}

func TestRequestsAreRecordedAndCopied(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo())
	a.send("POST", "/tokens", key(a.Key()), form("name", "n"))
	a.send("GET", "/tokens/%41?q=1", key("secret"))
	a.send("POST", "/tokens", body("", strings.Repeat("x", maxBody+1)))
	all := a.Requests()
	require.Len(t, all, 3)
	first := all[0]
	assert.Equal(t, start, first.Time)
	assert.Equal(t, "POST", first.Method)
	assert.Equal(t, "/tokens", first.Path)
	assert.Equal(t, "name=n", string(first.Body))
	assert.Equal(t, 200, first.Status)
	assert.Empty(t, first.Fault)
	assert.Equal(t, "tester/1", first.Header.Get("User-Agent"))
	_, _, err := net.SplitHostPort(first.RemoteAddr)
	require.NoError(t, err)
	assert.Equal(t, "/tokens/%41", all[1].Path)
	assert.Equal(t, "q=1", all[1].Query)
	assert.Equal(t, 401, all[1].Status)
	assert.Len(t, all[2].Body, maxBody)
	assert.Equal(t, 413, all[2].Status)

	first.Header.Set("User-Agent", "changed")
	first.Body[0] = 'X'
	again := a.Requests()[0]
	assert.Equal(t, "tester/1", again.Header.Get("User-Agent"))
	assert.Equal(t, "name=n", string(again.Body))

	a.ResetRequests()
	assert.Empty(t, a.Requests())
}
