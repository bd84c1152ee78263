package fastly_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/clock"
)

// pausing is a response whose header and each byte of the body take their time.
type pausing struct {
	ctx    context.Context
	header time.Duration
	pause  time.Duration
	body   io.Reader
}

func (p pausing) RoundTrip(r *http.Request) (*http.Response, error) {
	p.ctx = r.Context()
	if err := clock.Sleep(p.ctx, p.header); err != nil {
		return nil, err
	}
	resp, err := respond(http.StatusOK, "")(r)
	resp.Body = io.NopCloser(p)
	return resp, err
}

func (p pausing) Read(b []byte) (int, error) {
	if err := clock.Sleep(p.ctx, p.pause); err != nil {
		return 0, err
	}
	return p.body.Read(b[:min(1, len(b))])
}

// The clock is that of the test, so that it measures to the nanosecond.
func TestAttemptEndsInTime(t *testing.T) {
	t.Parallel()
	reads := time.Duration(len(tokenJSON) + 1)
	for name, test := range map[string]struct {
		client        *http.Client // nil: none given
		header, pause time.Duration
		took          time.Duration
		ok            bool
	}{
		"header in time":          {nil, 59 * time.Second, 0, 59 * time.Second, true},
		"header too late":         {nil, time.Hour, 0, time.Minute, false},
		"slow body":               {nil, 59 * time.Second, 59 * time.Second, (1 + reads) * 59 * time.Second, true},
		"silent body":             {nil, 30 * time.Second, time.Hour, 90 * time.Second, false},
		"an empty client":         {new(http.Client), 30 * time.Second, time.Hour, 90 * time.Second, false},
		"Timeout and no response": {&http.Client{Timeout: 3 * time.Minute}, time.Hour, 0, 3 * time.Minute, false},
		"Timeout in a slow body":  {&http.Client{Timeout: 3 * time.Minute}, 100 * time.Second, 50 * time.Second, 3 * time.Minute, false},
		"Timeout that is enough":  {&http.Client{Timeout: 3 * time.Minute}, 100 * time.Second, time.Second, (100 + reads) * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				opts := []fastly.Option{noRetry, fastly.WithTransport(pausing{header: test.header, pause: test.pause, body: strings.NewReader(tokenJSON)})}
				if test.client != nil {
					opts = append(opts, fastly.WithHTTPClient(test.client))
				}
				c := mustClient(t, opts...)
				start := time.Now()
				_, err := c.Tokens.GetTokenCurrent(t.Context())
				assert.Equal(t, test.took, time.Since(start))
				if test.ok {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.NoError(t, t.Context().Err(), "the caller's context has not ended")
			})
		})
	}
}

// The body of a middleware may not know its context.
func TestBodyThatReadsNothingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		ctx, cancel := context.WithCancel(t.Context())
		reads := 0
		body := readFunc(func([]byte) (int, error) {
			cancel()
			if reads++; reads > 1000 {
				return 0, errors.New("it was read again and again")
			}
			return 0, nil
		})
		c := mustClient(t, noRetry, fastly.WithTransport(roundTripFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body)}, nil
		})))
		err := op.do(ctx, c)
		if op.kind == fastly.KindRead || op.kind == fastly.KindCreate { // cut off, a revoke is done
			require.ErrorIs(t, err, context.Canceled, op.name)
		}
		assert.Less(t, reads, 10, op.name)
	}
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// Tracing, for example, must not cost the bound.
func TestTransportOfTheHTTPClientIsBoundedLikeTheLibrarysOwn(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]time.Duration{0: time.Minute, -1: time.Minute, time.Hour: time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			c := mustClient(t, noRetry, fastly.WithAPIKey(someKey), fastly.WithHTTPClient(&http.Client{
				Timeout: timeout, Transport: pausing{header: 1000 * time.Hour, body: strings.NewReader(tokenJSON)},
			}))
			start := time.Now()
			_, err := c.Tokens.GetTokenCurrent(t.Context())
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, want, time.Since(start))
		})
	}
}

// Over HTTP/2, all three requests share a connection.
func TestTimeoutEndsNoOtherRequest(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		for _, stall := range []string{"header", "body"} {
			t.Run(fmt.Sprintf("%s, HTTP/2 %v", stall, http2), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					arrived, release := make(chan struct{}), make(chan struct{})
					var major atomic.Int32
					tr := newPiped(t, http2, func(w http.ResponseWriter, r *http.Request) {
						major.Store(int32(r.ProtoMajor))
						if r.URL.Path == "/tokens" { // which times out
							if stall == "body" {
								_, _ = io.WriteString(w, "[")
								assert.NoError(t, http.NewResponseController(w).Flush())
							}
							<-r.Context().Done()
							return
						}
						_, _ = io.WriteString(w, tokenJSON[:10])
						assert.NoError(t, http.NewResponseController(w).Flush())
						arrived <- struct{}{}
						<-release
						_, _ = io.WriteString(w, tokenJSON[10:])
					})
					var conns atomic.Int32
					dial := tr.DialContext
					tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
						conns.Add(1)
						return dial(ctx, network, addr)
					}
					opts := []fastly.Option{noRetry, fastly.WithAPIKey(someKey), fastly.WithBaseURL("http://127.0.0.1"), fastly.WithHTTPClient(&http.Client{Transport: tr})}
					patient, hasty := mustClient(t, opts...), mustClient(t, opts...)
					fastly.HookTimeout(patient, time.Hour)
					neighbor := make(chan error, 1)
					go func() {
						_, err := patient.Tokens.GetTokenCurrent(t.Context())
						neighbor <- err
					}()
					<-arrived
					_, err := hasty.Tokens.ListTokensUser(t.Context())
					close(release)
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.NoError(t, t.Context().Err())
					require.NoError(t, <-neighbor, "a request that runs at the same time")
					go func() { <-arrived }()
					_, err = patient.Tokens.GetTokenCurrent(t.Context())
					require.NoError(t, err, "a later request")
					if http2 {
						assert.EqualValues(t, 2, major.Load())
						assert.EqualValues(t, 1, conns.Load(), "connections")
					}
				})
			})
		}
	}
}

// newPiped starts a server without a network, for a bubble of synctest, and a
// transport to it.
func newPiped(t *testing.T, http2 bool, handler http.HandlerFunc) *http.Transport {
	t.Helper()
	l := newPipeListener()
	srv := &http.Server{Handler: handler, Protocols: new(http.Protocols), ErrorLog: discardLog} //nolint:gosec // of a test, without a network
	srv.Protocols.SetHTTP1(!http2)
	srv.Protocols.SetUnencryptedHTTP2(http2)
	go func() { assert.ErrorIs(t, srv.Serve(l), http.ErrServerClosed) }()
	tr := &http.Transport{Protocols: srv.Protocols, DialContext: l.dial}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		assert.NoError(t, srv.Close())
	})
	return tr
}

// pipeListener gets the connections that dial makes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	end    func() // closes closed, once
}

func newPipeListener() pipeListener {
	closed := make(chan struct{})
	return pipeListener{make(chan net.Conn), closed, sync.OnceFunc(func() { close(closed) })}
}

func (l pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours, nil
}

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l pipeListener) Close() error {
	l.end()
	return nil
}

func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func TestNoResponseInTimeSaysSo(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		for name, timeout := range map[string]time.Duration{"Timeout of the http.Client": 3 * time.Minute, "default": 0} {
			t.Run(fmt.Sprintf("%s, HTTP/2 %v", name, http2), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					tr := newPiped(t, http2, func(_ http.ResponseWriter, r *http.Request) {
						_, _ = io.Copy(io.Discard, r.Body)
						<-r.Context().Done()
					})
					c := mustClient(t, noRetry, fastly.WithAPIKey(someKey), fastly.WithBaseURL("http://127.0.0.1"),
						fastly.WithHTTPClient(&http.Client{Transport: tr, Timeout: timeout}))
					if timeout == 0 {
						fastly.HookTimeout(c, time.Minute) // as over the client's own transport
					}
					for _, op := range []operation{getToken, createToken} {
						start := time.Now()
						err := op.do(t.Context(), c)
						assert.Equal(t, cmp.Or(timeout, time.Minute), time.Since(start))
						require.ErrorIs(t, err, context.DeadlineExceeded)
						require.ErrorContains(t, err, "fastly: "+op.method+" "+op.path+": no response in time")
						assert.Equal(t, op.kind == fastly.KindCreate, errors.Is(err, fastly.ErrOutcomeUnknown), "outcome unknown: %v", err)
					}
				})
			})
		}
	}
}

// It has a clock of its own, so that it measures to the nanosecond.
func TestCancelEndsARequestAtOnce(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		for _, reading := range []bool{false, true} {
			for _, op := range operations {
				if reading && op.method == http.MethodDelete {
					continue // done once the client has seen the 2xx
				}
				t.Run(fmt.Sprintf("%s, HTTP/2 %v, reading a response %v", op.name, http2, reading), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						arrived := make(chan struct{})
						tr := newPiped(t, http2, func(w http.ResponseWriter, r *http.Request) {
							_, _ = io.Copy(io.Discard, r.Body)
							if reading {
								_, _ = io.WriteString(w, op.body[:10])
								assert.NoError(t, http.NewResponseController(w).Flush())
							}
							close(arrived)
							<-r.Context().Done()
						})
						c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL("http://127.0.0.1"), fastly.WithHTTPClient(&http.Client{Transport: tr}))
						ctx, cancel := context.WithCancel(t.Context())
						failed := make(chan error, 1)
						go func() { failed <- op.do(ctx, c) }()
						<-arrived
						synctest.Wait()
						start := time.Now()
						cancel()
						err := <-failed
						assert.Zero(t, time.Since(start))
						require.ErrorIs(t, err, context.Canceled)
						assert.Equal(t, op.kind == fastly.KindCreate, errors.Is(err, fastly.ErrOutcomeUnknown), "outcome unknown: %v", err)
					})
				})
			}
		}
	}
}

// endedBody ends without an error when its request ends, as a chunked body can if
// the server notices that the client is about to close the connection.
type endedBody struct {
	ctx  context.Context
	text io.Reader
}

func (b endedBody) Read(p []byte) (int, error) {
	n, err := b.text.Read(p)
	if err != nil {
		<-b.ctx.Done()
	}
	return n, err
}

func (endedBody) Close() error { return nil }

func endingWith(text string) roundTripFunc {
	return func(r *http.Request) (*http.Response, error) {
		resp, err := respond(http.StatusOK, "")(r)
		resp.Body = endedBody{r.Context(), strings.NewReader(text)}
		return resp, err
	}
}

func TestWholeBodyIsReadThoughTheAttemptEnds(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		synctest.Test(t, func(t *testing.T) {
			c := mustClient(t, fastly.WithAPIKey(someKey), noRetry, fastly.WithHTTPClient(&http.Client{Transport: endingWith(op.body), Timeout: time.Minute}))
			require.NoError(t, op.do(t.Context(), c), op.name)
		})
	}
}

// A middleware may have read the body before, and give what it has.
func TestBodyThatComesAfterTheEndOfTheAttemptIsUsed(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		synctest.Test(t, func(t *testing.T) {
			late := func(r *http.Request) (*http.Response, error) {
				text := strings.NewReader(op.body)
				resp, err := respond(http.StatusOK, "")(r)
				resp.Body = io.NopCloser(readFunc(func(p []byte) (int, error) {
					<-r.Context().Done()
					return text.Read(p)
				}))
				return resp, err
			}
			c := mustClient(t, fastly.WithAPIKey(someKey), noRetry, fastly.WithHTTPClient(&http.Client{Transport: roundTripFunc(late), Timeout: time.Minute}))
			require.NoError(t, op.do(t.Context(), c), op.name)
		})
	}
}

func TestBodyThatEndsOnTimeoutIsNotWhole(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		synctest.Test(t, func(t *testing.T) {
			c := mustClient(t, fastly.WithAPIKey(someKey), noRetry, fastly.WithHTTPClient(&http.Client{Transport: endingWith(""), Timeout: time.Minute}))
			err := op.do(t.Context(), c)
			if op.method == http.MethodDelete {
				require.NoError(t, err, "a 2xx says that the revoke was applied")
				return
			}
			require.ErrorIs(t, err, context.DeadlineExceeded, op.name)
			assert.ErrorContains(t, err, "the response was truncated")
			assert.Equal(t, op.kind == fastly.KindCreate, errors.Is(err, fastly.ErrOutcomeUnknown), "outcome unknown: %v", err)
		})
	}
}
