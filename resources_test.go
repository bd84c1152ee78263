package fastly_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

// newCounted starts a server that counts the connections it gets.
func newCounted(t *testing.T, answer http.HandlerFunc) (srv *httptest.Server, conns *atomic.Int32) {
	t.Helper()
	conns = new(atomic.Int32)
	srv = httptest.NewUnstartedServer(answer)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv, conns
}

// answerByTurns gives successes and all kinds of failure that leave the
// connection intact, with bodies of known and of unknown length.
func answerByTurns(w http.ResponseWriter, r *http.Request, turn int32) {
	status, body := http.StatusOK, tokenAnswer
	switch {
	case r.Method == http.MethodDelete:
		status, body = http.StatusNoContent, ""
	case r.Method == http.MethodPost:
		body = createdAnswer
	case strings.HasSuffix(r.URL.Path, "/tokens"):
		body = "[" + strings.Repeat(tokenAnswer+",", 50) + tokenAnswer + "]"
	}
	switch turn % 10 {
	case 1:
		status, body = http.StatusNotFound, `{"msg":"Record not found"}`
	case 3:
		status, body = http.StatusBadGateway, "<html><title>Bad gateway</title>"+strings.Repeat("x", 60<<10)+"</html>"
	case 4:
		status, body = http.StatusTooManyRequests, `{"msg":"slow down"}`
	case 5:
		status, body = http.StatusOK, "<html>Sign in</html>"+strings.Repeat("x", 60<<10)
	case 6:
		status, body = http.StatusOK, tokenAnswer+strings.Repeat(" ", 30<<10)+"junk"
	case 7:
		w.Header().Set("Location", "https://evil.example/")
		status, body = http.StatusFound, "moved"
	case 8:
		status, body = http.StatusUnauthorized, ""
	}
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	if turn%3 == 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	// The client reads what it needs, and no error here is its concern.
	_, _ = io.WriteString(w, body)
}

func TestThousandCallsUseOneConnection(t *testing.T) {
	t.Parallel()
	var turns, failures atomic.Int32
	srv, conns := newCounted(t, func(w http.ResponseWriter, r *http.Request) { answerByTurns(w, r, turns.Add(1)) })
	for name, option := range map[string]fastly.Option{
		"key": fastly.WithAPIKey(someKey), "password": fastly.WithBasicAuth("alice", "secret"),
	} {
		conns.Store(0)
		c := mustClient(t, never, fastly.WithBaseURL(srv.URL), option)
		for n := range 1000 {
			if err := tokensMethods[n%len(tokensMethods)].call(t.Context(), c); err != nil {
				failures.Add(1)
			}
		}
		assert.EqualValues(t, 1, conns.Load(), "connections with a %s", name)
	}
	assert.Greater(t, failures.Load(), int32(500), "failures among the calls")
}

func TestRetriesUseTheSameConnection(t *testing.T) {
	t.Parallel()
	var turns atomic.Int32
	srv, conns := newCounted(t, func(w http.ResponseWriter, r *http.Request) {
		turn := turns.Add(1)
		if turn%4 == 0 {
			turn = 0
		} else {
			turn = 3 + turn%2
		}
		answerByTurns(w, r, turn)
	})
	c := mustClient(t, quickly, fastly.WithBaseURL(srv.URL), fastly.WithAPIKey(someKey))
	for range 100 {
		_, err := c.Tokens.ListTokensUser(t.Context())
		require.NoError(t, err)
	}
	assert.EqualValues(t, 400, turns.Load(), "requests")
	assert.EqualValues(t, 1, conns.Load(), "connections")
}

func TestManyGoroutinesOpenAtMost64Connections(t *testing.T) {
	t.Parallel()
	var turns, open, most atomic.Int32
	srv, conns := newCounted(t, func(w http.ResponseWriter, r *http.Request) {
		n := open.Add(1)
		defer open.Add(-1)
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
		time.Sleep(time.Millisecond)
		answerByTurns(w, r, 10*turns.Add(1))
	})
	c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithAPIKey(someKey))
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for _, m := range tokensMethods {
				assert.NoError(t, m.call(t.Context(), c), m.name)
			}
			_, ok := c.RateLimit()
			assert.False(t, ok)
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, conns.Load(), int32(64), "connections")
	assert.Greater(t, most.Load(), int32(1), "requests at the same time")
}

// TestNoLockOverARequest has requests that are answered only once all of them
// have come: with a lock over them none ever would be.
func TestNoLockOverARequest(t *testing.T) {
	t.Parallel()
	const n = 32
	for name, option := range map[string]fastly.Option{
		"key":      fastly.WithAPIKey(someKey),
		"function": fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return someKey, nil }),
		"password": fastly.WithBasicAuth("alice", "secret"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var come atomic.Int32
			all := make(chan struct{})
			srv, _ := newCounted(t, func(w http.ResponseWriter, r *http.Request) {
				if come.Add(1) == n {
					close(all)
				}
				select {
				case <-all:
					w.Header().Set("Fastly-RateLimit-Remaining", "7")
					answerByTurns(w, r, 0)
				case <-time.After(20 * time.Second):
					w.WriteHeader(http.StatusTeapot)
				}
			})
			c := mustClient(t, never, fastly.WithBaseURL(srv.URL), option)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					m := tokensMethods[i%len(tokensMethods)]
					assert.NoError(t, m.call(t.Context(), c), m.name)
				})
			}
			wg.Wait()
			limit, ok := c.RateLimit()
			assert.True(t, ok)
			assert.Equal(t, 7, limit.Remaining)
		})
	}
}

// TestTransportsAloneServeManyGoroutines runs under the race detector, too.
func TestTransportsAloneServeManyGoroutines(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusNoContent, nil, "")
	for _, rt := range []http.RoundTripper{
		&fastly.APIKeyTransport{Key: someKey, Host: hostOf(t, srv.URL), Base: &http.Transport{}},
		&fastly.BasicAuthTransport{Username: "alice", Password: "secret", Host: hostOf(t, srv.URL), Base: &http.Transport{}},
	} {
		// One request shared by all: a RoundTripper may not change it.
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, http.NoBody)
		require.NoError(t, err)
		req.Header.Set("X-Mine", "1")
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for range 10 {
					resp, err := rt.RoundTrip(req)
					if assert.NoError(t, err) {
						assert.NoError(t, resp.Body.Close())
					}
				}
			})
		}
		wg.Wait()
		assert.Equal(t, http.Header{"X-Mine": {"1"}}, req.Header, "the request was changed")
	}
	for _, a := range srv.seen() {
		assert.Len(t, a.header.Values("Fastly-Key"), 1-len(a.header.Values("Authorization")))
	}
}

// TestBodiesAreClosedHoweverTheCallEnds counts what was opened and closed.
func TestBodiesAreClosedHoweverTheCallEnds(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, status := range []int{200, 204, 302, 400, 401, 404, 429, 500, 503} {
		for _, text := range []string{"", tokenAnswer, createdAnswer, "[" + tokenAnswer + "]", "<html>", `{"id":`, "junk"} {
			for _, end := range []error{io.EOF, broken} {
				for _, m := range tokensMethods {
					var opened, closed atomic.Int32
					c := mustClient(t, quickly, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
						opened.Add(1)
						body := &sluice{r: io.MultiReader(strings.NewReader(text), endWith{end})}
						return &http.Response{StatusCode: status, Header: http.Header{}, Request: r, Body: closing{body, &closed}}, nil
					})))
					_ = m.call(t.Context(), c) // what it says is other tests' subject
					require.Positive(t, opened.Load())
					require.Equal(t, opened.Load(), closed.Load(), "%s, status %d, %q, %v", m.name, status, text, end)
				}
			}
		}
	}
}

type endWith struct{ err error }

func (e endWith) Read([]byte) (int, error) { return 0, e.err }

type closing struct {
	io.Reader
	closed *atomic.Int32
}

func (c closing) Close() error {
	c.closed.Add(1)
	return nil
}

// TestCancelledCallsLeaveNothingBehind is for the check at the program's end
// that no goroutine is left: each of these calls is abandoned.
func TestCancelledCallsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var come sync.WaitGroup
	srv, _ := newCounted(t, func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		come.Done()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithAPIKey(someKey))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calls sync.WaitGroup
	for range 4 {
		for _, m := range tokensMethods {
			come.Add(1)
			calls.Go(func() { assert.ErrorIs(t, m.call(ctx, c), context.Canceled) })
		}
	}
	come.Wait()
	cancel()
	calls.Wait()
}
