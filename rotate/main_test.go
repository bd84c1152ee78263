package rotate_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(lockVar); path != "" {
		lockUntilKilled(path)
		return
	}
	debug.SetGCPercent(400) // many short-lived worlds, and nothing that stays
	goleak.VerifyTestMain(m)
}

const (
	service  = "SU1Z0isxPaozGVKXdv0eY"
	lifetime = 30 * 24 * time.Hour
)

// epoch is when the virtual time of testing/synctest begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// api is a server whose clock is that of its clients, which live in the virtual
// time of testing/synctest. The server lives outside: time stands still while a
// request is under way, and pauses between requests take none.
type api struct {
	*fastlytest.Server
	clock     atomic.Int64
	skew      time.Duration // how far the API's clock is ahead
	requests  chan *http.Request
	responses chan response
	once      sync.Once
}

type response struct {
	*http.Response
	err error
}

func newAPI(t *testing.T, opts ...fastlytest.Option) *api {
	t.Helper()
	a := startAPI(opts...)
	t.Cleanup(a.close)
	return a
}

func startAPI(opts ...fastlytest.Option) *api {
	a := &api{requests: make(chan *http.Request), responses: make(chan response)}
	a.clock.Store(epoch.UnixNano())
	opts = append(opts, fastlytest.WithClock(a.now), fastlytest.WithRateLimit(1<<30))
	a.Server = fastlytest.NewServer(opts...)
	go a.exchange()
	return a
}

func (a *api) now() time.Time { return time.Unix(0, a.clock.Load()).UTC() }

func (a *api) close() {
	a.once.Do(func() {
		close(a.requests)
		a.Close()
	})
}

// exchange sends requests over a connection that it keeps. Were that in the
// bubble of a test, its time would never pass.
func (a *api) exchange() {
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	for r := range a.requests {
		var body []byte
		resp, err := transport.RoundTrip(r)
		if err == nil {
			body, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close() // read to its end
			resp.Body = io.NopCloser(bytes.NewReader(body))
		}
		a.responses <- response{resp, err}
	}
}

// wire carries the requests of clients to an api.
type wire struct {
	*api
	broken *http.Transport // for requests with a fault
	// before and after, unless nil, are called around each request. Before
	// reports whether the request has a fault.
	before func(*http.Request) (faulty bool)
	after  func(*http.Request)
}

func (a *api) wire() *wire {
	return &wire{api: a, broken: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
}

func (w *wire) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w.clock.Store(time.Now().Add(w.skew).UnixNano())
	if w.before != nil && w.before(r) {
		resp, err = w.broken.RoundTrip(r)
	} else {
		w.requests <- r.WithContext(context.WithoutCancel(r.Context()))
		got := <-w.responses
		resp, err = got.Response, got.err
	}
	if w.after != nil {
		w.after(r)
	}
	return resp, err
}

// connect returns a client that does not retry: no fault is hidden.
func (w *wire) connect(key fastly.Secret) (*fastly.Client, error) {
	return fastly.NewClient(fastly.WithAPIKey(key.Reveal()), fastly.WithBaseURL(w.URL),
		fastly.WithHTTPClient(&http.Client{Transport: w}),
		fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 1}))
}

func (w *wire) client(t *testing.T, key fastly.Secret) *fastly.Client {
	t.Helper()
	c, err := w.connect(key)
	require.NoError(t, err)
	return c
}

// alive returns the tokens of a user that work.
func (a *api) alive(userID string) (tokens []fastly.TokenCreatedResponse) {
	for _, t := range a.Tokens() {
		if t.UserID == userID && t.DeletedAt.IsZero() && !t.Expired(a.now()) {
			tokens = append(tokens, t)
		}
	}
	return tokens
}
