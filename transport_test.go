package fastly_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
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

// useDefaultTransport replaces http.DefaultTransport, so the test must not be
// parallel.
func useDefaultTransport(t *testing.T, rt http.RoundTripper) {
	t.Helper()
	was := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = was })
	http.DefaultTransport = rt
}

func TestDefaultTransportIsBounded(t *testing.T) {
	// Without HTTP/2, net/http makes no TLS settings of its own.
	useDefaultTransport(t, &http.Transport{TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}})
	tr, ok := fastly.DefaultTransport().(*http.Transport)
	require.True(t, ok)
	assert.Zero(t, tr.MaxConnsPerHost)
	assert.Equal(t, 64, tr.MaxIdleConnsPerHost)
	assert.EqualValues(t, 256<<10, tr.MaxResponseHeaderBytes)
	assert.Equal(t, 32<<10, tr.ReadBufferSize)
	assert.EqualValues(t, tls.VersionTLS12, tr.TLSClientConfig.MinVersion)
	assert.Equal(t, &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second}, tr.HTTP2)
	assert.NotNil(t, tr.OnProxyConnectResponse)
}

func TestSettingsOfTheDefaultTransportAreKept(t *testing.T) {
	dial := func(context.Context, string, string) (net.Conn, error) { return nil, errConnRefused }
	was := &http.Transport{
		Dial:                   func(string, string) (net.Conn, error) { return nil, errConnRefused }, //nolint:staticcheck // programs still set it
		DialContext:            dial,
		DialTLSContext:         dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS13},
		HTTP2:                  &http.HTTP2Config{PingTimeout: time.Second},
		OnProxyConnectResponse: func(context.Context, *url.URL, *http.Request, *http.Response) error { return errors.New("hook") },
	}
	useDefaultTransport(t, was)
	tr, ok := fastly.DefaultTransport().(*http.Transport)
	require.True(t, ok)
	assert.EqualValues(t, tls.VersionTLS13, tr.TLSClientConfig.MinVersion)
	assert.Equal(t, &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: time.Second}, tr.HTTP2)
	assert.EqualError(t, tr.OnProxyConnectResponse(t.Context(), nil, nil, nil), "hook")
	for _, f := range []func(context.Context, string, string) (net.Conn, error){tr.DialContext, tr.DialTLSContext} {
		_, err := f(t.Context(), "tcp", "127.0.0.1:0")
		require.ErrorIs(t, err, errConnRefused)
	}
	_, err := tr.Dial("tcp", "127.0.0.1:0") //nolint:staticcheck // as above
	require.ErrorIs(t, err, errConnRefused)
	assert.Zero(t, was.MaxIdleConnsPerHost, "the program's transport is not modified")
	assert.Zero(t, was.HTTP2.SendPingTimeout, "the program's transport is not modified")
}

func TestDefaultTransportOfAnotherTypeIsUsed(t *testing.T) {
	sent := 0
	useDefaultTransport(t, roundTripFunc(func(r *http.Request) (*http.Response, error) {
		sent++
		return respond(http.StatusOK, tokenJSON)(r)
	}))
	_, err := mustClient(t, fastly.WithAPIKey(someKey), noRetry).Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, sent)
}

// Some tracing and retrying transports break the contract of http.RoundTripper.
func TestTransportThatBreaksItsContract(t *testing.T) {
	t.Parallel()
	errBelow := errors.New("it broke")
	for name, test := range map[string]struct {
		respond func(*http.Response) (*http.Response, error)
		want    string // in the error of a get; empty: none
	}{
		"response and error": {func(r *http.Response) (*http.Response, error) { return r, errBelow }, "it broke"},
		"neither":            {func(r *http.Response) (*http.Response, error) { return nil, r.Body.Close() }, "the transport returned no response and no error"},
		"no body":            {func(r *http.Response) (*http.Response, error) { err := r.Body.Close(); r.Body = nil; return r, err }, "it is empty"},
		"no header":          {func(r *http.Response) (*http.Response, error) { r.Header = nil; return r, nil }, ""},
		"no request":         {func(r *http.Response) (*http.Response, error) { r.Request = nil; return r, nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var body *trackedBody
			broken := roundTripFunc(func(r *http.Request) (*http.Response, error) {
				body = &trackedBody{Reader: strings.NewReader(tokenJSON)}
				resp, err := respond(http.StatusOK, "")(r)
				resp.Body = body
				if err != nil {
					return nil, err
				}
				return test.respond(resp)
			})
			for _, option := range []fastly.Option{
				fastly.WithTransport(broken), fastly.WithTransport(&fastly.APIKeyTransport{Key: someKey, Base: broken}),
			} {
				c := mustClient(t, noRetry, option)
				_, err := c.Tokens.GetTokenCurrent(t.Context())
				assert.EqualValues(t, 1, body.closed.Load(), "the body is closed")
				if test.want == "" {
					require.NoError(t, err)
					continue
				}
				require.ErrorContains(t, err, test.want)
				assertOneLine(t, err)
				_, err = c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
				require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
			}
		})
	}
}

// The error of a dial proves that nothing was sent only if the transport lets
// the client see that.
func TestTransportThatReportsNothingCountsAsSent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reports bool
		dials   int32
	}{
		"reports nothing": {false, 1},
		"reports":         {true, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var dials atomic.Int32
			below := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				dials.Add(1)
				return nil, errConnRefused
			}}
			c := mustClient(t, quickRetry, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
				if !test.reports {
					r = r.WithContext(context.Background())
				}
				return below.RoundTrip(r)
			})))
			_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
			require.ErrorContains(t, err, "connection refused")
			assert.Equal(t, !test.reports, errors.Is(err, fastly.ErrOutcomeUnknown), "outcome unknown: %v", err)
			assert.Equal(t, test.dials, dials.Load(), "dials")
		})
	}
}

// A name that does not exist was looked up before anything was sent; a lookup that failed otherwise
// may be the transport's second one.
func TestTransportThatReportsNothingMayNotFindTheHost(t *testing.T) {
	t.Parallel()
	for _, notFound := range []bool{true, false} {
		c := mustClient(t, noRetry, fastly.WithTransport(roundTripFunc(func(*http.Request) (*http.Response, error) {
			return nil, &net.DNSError{Err: "it broke", IsNotFound: notFound}
		})))
		_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
		require.ErrorContains(t, err, "it broke")
		assert.Equal(t, !notFound, errors.Is(err, fastly.ErrOutcomeUnknown), "outcome unknown: %v", err)
	}
}

// newOldTLS starts a server with TLS 1.1 at most. It works with a client that
// allows that.
func newOldTLS(t *testing.T) (srv *httptest.Server, requests *atomic.Int32) {
	t.Helper()
	requests = new(atomic.Int32)
	srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	srv.Config.ErrorLog = discardLog
	srv.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11} //nolint:gosec // the point of the test
	srv.StartTLS()
	t.Cleanup(srv.Close)

	config := trust(srv)
	config.MinVersion = tls.VersionTLS10
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, http.NoBody)
	require.NoError(t, err)
	resp, err := old.Do(req)
	require.NoError(t, err, "a client that allows TLS 1.1")
	require.NoError(t, resp.Body.Close())
	require.EqualValues(t, 1, requests.Swap(0))
	return srv, requests
}

func TestServerWithOldTLSGetsNoRequest(t *testing.T) {
	t.Parallel()
	srv, requests := newOldTLS(t)
	for name, send := range map[string]func() error{
		"client": func() error { return createWith(t, srv.URL, canaryRequest(), fastly.WithAPIKey(canaryKey)) },
		"client with TLS settings": func() error {
			return createWith(t, srv.URL, canaryRequest(), fastly.WithAPIKey(canaryKey),
				fastly.WithHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust(srv).RootCAs}}}))
		},
		"transport alone": func() error {
			return postWith(t, srv.URL, &fastly.APIKeyTransport{Key: canaryKey, Host: hostOf(t, srv.URL),
				Base: &http.Transport{TLSClientConfig: trust(srv)}})
		},
	} {
		err := send()
		require.ErrorContains(t, err, "version", name)
		assert.NotErrorIs(t, err, fastly.ErrOutcomeUnknown, name)
	}
	assert.Zero(t, requests.Load())
}

func TestServerThatSpeaksNoTLSIsAskedOnce(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var shell sync.WaitGroup
	shell.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.9\r\n")
			_, _ = io.Copy(io.Discard, conn) // until the client has had enough
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		assert.NoError(t, listener.Close())
		shell.Wait()
	})
	var dials atomic.Int32
	tr := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL("https://"+listener.Addr().String()), quickRetry,
		fastly.WithHTTPClient(&http.Client{Transport: tr}))
	_, err = c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: "deploy"})
	require.ErrorContains(t, err, "the server does not speak TLS (is it plain http?)"+hintNetwork)
	require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)
	assert.EqualValues(t, 1, dials.Load(), "connections")
}

func TestTransportsBelowTLS12AreRejected(t *testing.T) {
	t.Parallel()
	srv, requests := newOldTLS(t)
	host := hostOf(t, srv.URL)
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		for name, config := range map[string]*tls.Config{
			"lowest":  {RootCAs: trust(srv).RootCAs, MinVersion: version},
			"highest": {RootCAs: trust(srv).RootCAs, MaxVersion: version},
		} {
			rt := &http.Transport{TLSClientConfig: config}
			_, err := fastly.NewClient(fastly.WithAPIKey(canaryKey), fastly.WithHTTPClient(&http.Client{Transport: rt}))
			assertInvalid(t, err, tls.VersionName(version), "VersionTLS12")
			_, err = fastly.NewClient(fastly.WithTransport(rt))
			assertInvalid(t, err, tls.VersionName(version), "VersionTLS12")
			for _, alone := range []http.RoundTripper{
				&fastly.APIKeyTransport{Key: canaryKey, Host: host, Base: rt},
				&fastly.BasicAuthTransport{Username: canaryLogin, Password: canaryPassword, Host: host, Base: rt},
			} {
				require.ErrorIs(t, postWith(t, srv.URL, alone), fastly.ErrInvalidArgument, "%s %T", name, alone)
			}
		}
	}
	assert.Zero(t, requests.Load())
}

func TestHeaderOfMoreThan256KiBIsAnError(t *testing.T) {
	t.Parallel()
	for size, ok := range map[int]bool{200 << 10: true, 300 << 10: false} {
		srv := newStub(t, http.StatusOK, http.Header{"X-Filler": {strings.Repeat("x", size)}}, tokenJSON)
		_, err := srv.client(t).Tokens.GetTokenCurrent(t.Context())
		assert.Equal(t, ok, err == nil, "%d bytes: %v", size, err)
	}
}

func TestEndlessHeaderIsAnError(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{"header": "X-Filler: " + strings.Repeat("x", 1000) + "\r\n", "informational": "HTTP/1.1 103 Early Hints\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := "HTTP/1.1 200 OK\r\n"
			if name == "informational" {
				begin = ""
			}
			srv := newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if !assert.NoError(t, err) {
					return
				}
				defer conn.Close()
				_, err = io.Copy(conn, io.LimitReader(endless(begin, line), 64<<20))
				assert.Error(t, err, "the client read all of it")
			})
			_, err := srv.client(t).Tokens.GetTokenCurrent(t.Context())
			require.Error(t, err)
			assertOneLine(t, err)
		})
	}
}

func TestFailureBeforeAConnectionIsAskedForIsNotSent(t *testing.T) {
	t.Parallel()
	errProxy := errors.New("no such proxy")
	failing := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, errProxy }}
	_, err := mustClient(t, quickRetry, fastly.WithAPIKey(someKey), fastly.WithHTTPClient(&http.Client{Transport: failing})).
		Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	require.ErrorIs(t, err, errProxy)
	require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)

	srv := newStub(t, http.StatusOK, nil, createdJSON)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) {
		cancel()
		return someKey, nil
	})).Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)
	assert.Empty(t, srv.requests())
}

// A transport that is not net/http's may not say that it wrote a header.
func TestTransportThatReportsAConnectionAloneCountsAsSent(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{errors.New("it broke"), &net.DNSError{Err: "no such host", IsNotFound: true}} {
		calls := 0
		rt := roundTripFunc(func(r *http.Request) (*http.Response, error) {
			calls++
			trace := httptrace.ContextClientTrace(r.Context())
			trace.GetConn("api.fastly.com:443")
			trace.GotConn(httptrace.GotConnInfo{})
			return nil, failure
		})
		c := mustClient(t, fastly.WithAPIKey(someKey), quickRetry, fastly.WithHTTPClient(&http.Client{Transport: rt}))
		_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: "deploy"})
		require.ErrorIs(t, err, fastly.ErrOutcomeUnknown, failure)
		assert.Equal(t, 1, calls, "requests")
	}
}

// Over HTTP/1, net/http takes a request with such a header for idempotent, even if it has no value.
func TestCreateWithAnIdempotencyKeyIsSentOnce(t *testing.T) {
	t.Parallel()
	const kept = 4 // connections, on any of which net/http could repeat a create
	for name, header := range map[string]http.Header{
		"Idempotency-Key": {"Idempotency-Key": {"1"}}, "X-Idempotency-Key": {"X-Idempotency-Key": {"1"}}, "no value": {"Idempotency-Key": nil},
	} {
		for what, req := range map[string]*fastly.CreateTokenRequest{"with a body": {Name: someName}, "without one": {}} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				var reads sync.WaitGroup
				srv := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPost {
						panic(http.ErrAbortHandler) // which closes the connection
					}
					reads.Done()
					reads.Wait() // so that each has a connection of its own
					_, _ = io.WriteString(w, tokenJSON)
				})
				base := &http.Transport{MaxIdleConnsPerHost: kept}
				t.Cleanup(base.CloseIdleConnections)
				adding := func(next http.RoundTripper) http.RoundTripper {
					return roundTripFunc(func(r *http.Request) (*http.Response, error) {
						r = r.Clone(r.Context())
						maps.Copy(r.Header, header)
						return next.RoundTrip(r)
					})
				}
				for _, option := range []fastly.Option{
					fastly.WithMiddleware(adding), fastly.WithHTTPClient(&http.Client{Transport: adding(base)}),
				} {
					c := srv.client(t, option)
					reads.Add(kept)
					var done sync.WaitGroup
					for range kept {
						done.Go(func() {
							_, err := c.Tokens.GetTokenCurrent(t.Context())
							assert.NoError(t, err)
						})
					}
					done.Wait()
					sent, again := len(srv.requests()), false
					ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
						if again { // net/http may write to it before it sees that the context has ended
							assert.ErrorIs(t, got.Conn.SetDeadline(time.Time{}), net.ErrClosed)
						}
						again = true
					}})
					_, err := c.Tokens.CreateToken(ctx, req)
					require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
					assert.Equal(t, 1, len(srv.requests())-sent, "creates that were sent")
				}
			})
		}
	}
}

// A trace in the context of a call, such as OpenTelemetry's, is joined to the client's own.
func TestTraceOfTheCallerDoesNotHideThatARequestWasSent(t *testing.T) {
	t.Parallel()
	srv := newStubFunc(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GetConn: func(string) {}, GotConn: func(httptrace.GotConnInfo) {},
		WroteHeaderField: func(string, []string) {}, WroteHeaders: func() {},
	})
	for _, op := range operations {
		var log strings.Builder
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		require.Error(t, op.do(ctx, srv.client(t, fastly.WithLogger(logger))), op.name)
		assert.Contains(t, log.String(), `outcome="no response"`, op.name)
	}
}

// A transport changes its settings when it is used first.
func TestClientsShareATransport(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusOK, nil, `{"id":"5Yo3XX"}`)
	shared := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c, err := fastly.NewClient(fastly.WithAPIKey("key"), fastly.WithBaseURL(srv.URL), fastly.WithHTTPClient(shared))
			if assert.NoError(t, err) {
				_, err = c.Tokens.GetTokenCurrent(t.Context())
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	shared.CloseIdleConnections()
}

// A transport that retries by itself may call the key function when that has no
// key any more.
func TestFailureOfTheKeyFunctionDoesNotHideThatARequestWasSent(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(context.Context) error{
		"fails later":          func(context.Context) error { return errors.New("the vault is down") },
		"looks at its context": context.Context.Err,
	} {
		for what, req := range map[string]*fastly.CreateTokenRequest{"with a body": {Name: someName}, "without one": {}} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				srv := newHTTP2Server(t, func(conn net.Conn, _ uint32) { _ = conn.Close() })
				base := srv.transport()
				t.Cleanup(base.CloseIdleConnections)
				var calls int
				keyed := &fastly.APIKeyTransport{
					Host: strings.TrimPrefix(srv.url, "https://"), Base: base,
					KeyFunc: func(ctx context.Context) (key fastly.Secret, err error) {
						if calls++; calls > 1 {
							err = next(ctx)
						}
						return "key", err
					},
				}
				retrying := roundTripFunc(func(r *http.Request) (*http.Response, error) {
					var body []byte
					var err error
					if r.Body != nil { // the request has content
						if body, err = io.ReadAll(r.Body); err != nil {
							return nil, err
						}
					}
					var resp *http.Response
					for range 3 {
						r = r.Clone(r.Context())
						if r.Body != nil {
							r.Body = io.NopCloser(bytes.NewReader(body))
						}
						if resp, err = keyed.RoundTrip(r); err == nil {
							break
						}
					}
					return resp, err
				})
				c := mustClient(t, fastly.WithBaseURL(srv.url), fastly.WithTransport(retrying), noRetry)
				_, err := c.Tokens.CreateToken(t.Context(), req)
				require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
				assert.EqualValues(t, 1, srv.requests.Load(), "requests")
			})
		}
	}
}

func TestCloseIdleConnectionsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	open := make(map[net.Conn]bool)
	var mu sync.Mutex
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"id":"5Yo3XX"}`)
	}))
	srv.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch state {
		case http.StateNew:
			open[conn] = true
		case http.StateClosed:
			delete(open, conn)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(open)
	}

	client, err := fastly.NewClient(fastly.WithAPIKey("key"), fastly.WithBaseURL(srv.URL))
	require.NoError(t, err)
	_, err = client.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, count())
	client.CloseIdleConnections()
	assert.Eventually(t, func() bool { return count() == 0 }, time.Minute, time.Millisecond)
	_, err = client.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err, "the client still works")
}

// fewReplaced allows for connections that net/http replaces on a busy machine: it
// keeps none whose request is not known to be written within 50 ms.
const fewReplaced = 10

func TestCallsInSequenceUseOneConnection(t *testing.T) {
	t.Parallel()
	var turns, failures atomic.Int32
	srv := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) { respondByTurns(w, r, turns.Add(1)) })
	for name, option := range map[string]fastly.Option{
		"key": fastly.WithAPIKey(someKey), "password": fastly.WithBasicAuth("alice", "secret"),
	} {
		srv.conns.Store(0)
		c := mustClient(t, noRetry, fastly.WithBaseURL(srv.URL), option)
		for n := range 240 { // each operation twice with each response
			if err := operations[n%len(operations)].do(t.Context(), c); err != nil {
				failures.Add(1)
			}
		}
		assert.LessOrEqual(t, srv.conns.Load(), int32(fewReplaced), "connections with a %s", name)
	}
	assert.Greater(t, failures.Load(), int32(120), "failures among the calls")
}

func TestRetriesUseTheSameConnection(t *testing.T) {
	t.Parallel()
	var turns atomic.Int32
	srv := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
		turn := turns.Add(1)
		if turn%4 == 0 {
			turn = 0
		} else {
			turn = 3 + turn%2
		}
		respondByTurns(w, r, turn)
	})
	c := mustClient(t, quickRetry, fastly.WithBaseURL(srv.URL), fastly.WithAPIKey(someKey))
	for range 40 {
		_, err := c.Tokens.ListTokensUser(t.Context())
		require.NoError(t, err)
	}
	assert.EqualValues(t, 160, turns.Load(), "requests")
	assert.LessOrEqual(t, srv.conns.Load(), int32(fewReplaced), "connections")
}

// A bound on connections would make every later call wait for dials that hang.
func TestCallsWaitForNoHungDials(t *testing.T) {
	srv := newStub(t, http.StatusOK, nil, tokenJSON)
	const hung = 100
	var dials atomic.Int32
	all := make(chan struct{})
	useDefaultTransport(t, &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		n := dials.Add(1)
		if n > hung {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		if n == hung {
			close(all)
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	c := srv.client(t, noRetry)
	ctx, cancel := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	for range hung {
		calls.Go(func() {
			if _, err := c.Tokens.GetTokenCurrent(ctx); err != nil { // the connection of the last one may serve it
				assert.ErrorIs(t, err, context.Canceled)
			}
		})
	}
	<-all
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	cancel()
	calls.Wait()
}

func TestManyGoroutinesShareAClient(t *testing.T) {
	t.Parallel()
	var turns atomic.Int32
	srv := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) { respondByTurns(w, r, 10*turns.Add(1)) })
	c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithAPIKey(someKey))
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for _, op := range operations {
				assert.NoError(t, op.do(t.Context(), c), op.name)
			}
			_, ok := c.RateLimit()
			assert.False(t, ok)
		})
	}
	wg.Wait()
	assert.EqualValues(t, 100*len(operations), turns.Load(), "requests")
}

// A create that may have been processed must not be repeated, and one that was not sent should be.
func TestOutcomeOfACreateBehindMiddlewares(t *testing.T) {
	t.Parallel()
	pass := func(next http.RoundTripper) http.RoundTripper { return roundTripFunc(next.RoundTrip) }
	fail := func(http.RoundTripper) http.RoundTripper {
		return roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, errors.New("the circuit is open") })
	}
	untraced := func(next http.RoundTripper) http.RoundTripper {
		return roundTripFunc(func(r *http.Request) (*http.Response, error) {
			return next.RoundTrip(r.WithContext(context.WithoutCancel(context.Background()))) //nolint:contextcheck // what is tested
		})
	}
	for name, test := range map[string]struct {
		wraps   []func(http.RoundTripper) http.RoundTripper
		unknown bool
		dials   int32
	}{
		"not sent":                    {[]func(http.RoundTripper) http.RoundTripper{pass, pass}, false, 4},
		"failed by the middleware":    {[]func(http.RoundTripper) http.RoundTripper{pass, fail}, true, 0},
		"without the request's trace": {[]func(http.RoundTripper) http.RoundTripper{untraced}, true, 1},
	} {
		var dials atomic.Int32
		base := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			return nil, errConnRefused
		}}
		opts := []fastly.Option{fastly.WithAPIKey(someKey), fastly.WithHTTPClient(&http.Client{Transport: base}), quickRetry}
		for _, wrap := range test.wraps {
			opts = append(opts, fastly.WithMiddleware(wrap))
		}
		_, err := mustClient(t, opts...).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
		require.Error(t, err)
		assert.Equal(t, test.unknown, errors.Is(err, fastly.ErrOutcomeUnknown), "%s: %v", name, err)
		assert.Equal(t, test.dials, dials.Load(), "%s: dials", name)
	}
}

func TestCloseIdleConnectionsReachesTheTransportBelow(t *testing.T) {
	t.Parallel()
	srv := newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tokenJSON) })
	wrap := fastly.WithMiddleware(func(next http.RoundTripper) http.RoundTripper { return roundTripFunc(next.RoundTrip) })
	host := hostOf(t, srv.URL)
	for name, opts := range map[string][]fastly.Option{
		"own":        {fastly.WithAPIKey(someKey)},
		"middleware": {fastly.WithAPIKey(someKey), wrap},
		"key":        {fastly.WithTransport(&fastly.APIKeyTransport{Key: someKey, Host: host, Base: new(http.Transport)}), wrap},
		"Basic":      {fastly.WithTransport(&fastly.BasicAuthTransport{Username: "a", Password: "b", Host: host, Base: new(http.Transport)})},
	} {
		c := mustClient(t, append(opts, fastly.WithBaseURL(srv.URL), noRetry)...)
		before := srv.conns.Load()
		for range 2 {
			_, err := c.Tokens.GetTokenCurrent(t.Context())
			require.NoError(t, err, name)
			c.CloseIdleConnections()
		}
		assert.Equal(t, before+2, srv.conns.Load(), "%s: connections", name)
	}
}

// respondByTurns responds with success and with every failure that leaves the
// connection intact, and with bodies of known and of unknown length.
func respondByTurns(w http.ResponseWriter, r *http.Request, turn int32) {
	status, body := http.StatusOK, tokenJSON
	switch {
	case r.Method == http.MethodDelete:
		status, body = http.StatusNoContent, ""
	case r.Method == http.MethodPost:
		body = createdJSON
	case strings.HasSuffix(r.URL.Path, "/tokens"):
		body = "[" + strings.Repeat(tokenJSON+",", 50) + tokenJSON + "]"
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
		status, body = http.StatusOK, tokenJSON+strings.Repeat(" ", 30<<10)+"junk"
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
	// The client may have read enough.
	_, _ = io.WriteString(w, body)
}

// newQuietTLS is httptest.NewTLSServer without complaints about handshakes that
// a client ends.
func newQuietTLS(handler http.Handler) *httptest.Server {
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.ErrorLog = discardLog
	srv.StartTLS()
	return srv
}
