package fastly_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"os"
	"os/exec"
	"strconv"
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

// newHTTP2 starts a server, and a transport to it that uses HTTP/2 or not.
func newHTTP2(t *testing.T, http2 bool, handler http.HandlerFunc) (*httptest.Server, *http.Transport) {
	t.Helper()
	srv := httptest.NewUnstartedServer(handler)
	srv.EnableHTTP2 = http2
	srv.Config.ErrorLog = discardLog
	srv.StartTLS()
	t.Cleanup(srv.Close)
	tr := &http.Transport{TLSClientConfig: trust(srv), ForceAttemptHTTP2: http2}
	t.Cleanup(tr.CloseIdleConnections)
	return srv, tr
}

// Over HTTP/2, all three requests share a connection.
func TestTimeoutEndsNoOtherRequest(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		for _, stall := range []string{"header", "body"} {
			t.Run(fmt.Sprintf("%s, HTTP/2 %v", stall, http2), func(t *testing.T) {
				t.Parallel()
				arrived, release := make(chan struct{}), make(chan struct{})
				var major atomic.Int32
				srv, tr := newHTTP2(t, http2, func(w http.ResponseWriter, r *http.Request) {
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
				tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					conns.Add(1)
					return new(net.Dialer).DialContext(ctx, network, addr)
				}
				opts := []fastly.Option{noRetry, fastly.WithAPIKey(someKey), fastly.WithBaseURL(srv.URL), fastly.WithHTTPClient(&http.Client{Transport: tr})}
				patient, hasty := mustClient(t, opts...), mustClient(t, opts...)
				fastly.HookTimeout(hasty, 50*time.Millisecond)
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
					assert.LessOrEqual(t, conns.Load(), int32(fewReplaced), "connections")
				}
			})
		}
	}
}

// newPiped starts a server without a network, for a bubble of synctest, and a
// transport to it.
func newPiped(t *testing.T, http2 bool, handler http.HandlerFunc) *http.Transport {
	t.Helper()
	l := pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: handler, Protocols: new(http.Protocols), ErrorLog: discardLog} //nolint:gosec // of a test, without a network
	srv.Protocols.SetHTTP1(!http2)
	srv.Protocols.SetUnencryptedHTTP2(http2)
	go func() { assert.ErrorIs(t, srv.Serve(l), http.ErrServerClosed) }()
	tr := &http.Transport{Protocols: srv.Protocols, DialContext: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		l.conns <- theirs
		return ours, nil
	}}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		assert.NoError(t, srv.Close())
	})
	return tr
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
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
	close(l.closed)
	return nil
}

func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

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
					for _, op := range []operation{operationNamed("GetToken"), operationNamed("CreateToken")} {
						start := time.Now()
						err := op.do(t.Context(), c)
						assert.Equal(t, cmp.Or(timeout, time.Minute), time.Since(start))
						require.ErrorIs(t, err, context.DeadlineExceeded)
						require.ErrorContains(t, err, "fastly: "+op.method+" "+op.path+": no response in time")
						assert.Equal(t, op.kind == fastly.KindCreate, isUnknown(err), "outcome unknown: %v", err)
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
						assert.Equal(t, op.kind == fastly.KindCreate, isUnknown(err), "outcome unknown: %v", err)
					})
				})
			}
		}
	}
}

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

// swallowing is a connection whose other end no longer receives anything.
type swallowing struct {
	net.Conn
	dead atomic.Bool
}

func (c *swallowing) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func TestDefaultTransportLeavesADeadHTTP2Connection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newPiped(t, true, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, map[string]string{http.MethodGet: tokenJSON, http.MethodPost: createdJSON}[r.Method])
		})
		var conn *swallowing // the last one
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			conn = &swallowing{Conn: c}
			return conn, err
		}
		useDefaultTransport(t, tr)
		c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL("http://127.0.0.1"))
		skipWaits(c)
		for _, op := range []operation{operationNamed("GetToken"), operationNamed("CreateToken")} {
			require.NoError(t, op.do(t.Context(), c))
			conn.dead.Store(true)
			start := time.Now()
			err := op.do(t.Context(), c)
			assert.Equal(t, 30*time.Second, time.Since(start), "15 s of silence, and 15 s for a ping")
			if op.kind == fastly.KindRead {
				require.NoError(t, err, "the second attempt has another connection")
			} else {
				require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
			}
			start = time.Now()
			require.NoError(t, op.do(t.Context(), c))
			assert.Zero(t, time.Since(start))
		}
	})
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

// newProxy starts a proxy that gives the status to each CONNECT, and connects if
// it is 200.
func newProxy(t *testing.T, status int) (proxy *httptest.Server, connects *atomic.Int32) {
	t.Helper()
	connects = new(atomic.Int32)
	proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, http.MethodConnect, r.Method)
		connects.Add(1)
		w.WriteHeader(status)
		if status != http.StatusOK {
			return
		}
		target, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.Host)
		if !assert.NoError(t, err) {
			return
		}
		defer target.Close()
		client, rest, err := http.NewResponseController(w).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		defer client.Close()
		wg.Go(func() {
			_, _ = io.Copy(target, rest)
			_ = target.Close()
		})
		_, _ = io.Copy(client, target)
	}))
	t.Cleanup(proxy.Close)
	return proxy, connects
}

// newProxied returns the transport of a program that has set a proxy.
func newProxied(t *testing.T, proxy, srv *httptest.Server) *http.Transport {
	t.Helper()
	proxyURL, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	return &http.Transport{Proxy: http.ProxyURL(proxyURL), TLSClientConfig: trust(srv)}
}

func TestProxyOfTheDefaultTransportIsUsed(t *testing.T) {
	srv, _ := newHTTP2(t, false, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tokenJSON) })
	proxy, connects := newProxy(t, http.StatusOK)
	tr := newProxied(t, proxy, srv)
	useDefaultTransport(t, tr)
	c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL(srv.URL))
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	c.CloseIdleConnections()
	assert.EqualValues(t, 1, connects.Load(), "requests of the proxy")
	assert.Zero(t, tr.MaxConnsPerHost, "the program's transport is not modified")
	assert.Nil(t, tr.OnProxyConnectResponse, "the program's transport is not modified")
}

func TestProxyThatRefusesIsNamed(t *testing.T) {
	srv, _ := newHTTP2(t, false, func(http.ResponseWriter, *http.Request) { assert.Fail(t, "a request got through") })
	for status, attempts := range map[int]int{http.StatusProxyAuthRequired: 1, http.StatusForbidden: 1, http.StatusBadGateway: 4, http.StatusServiceUnavailable: 4} {
		for _, op := range operations {
			t.Run(fmt.Sprint(status, op.name), func(t *testing.T) {
				proxy, connects := newProxy(t, status)
				useDefaultTransport(t, newProxied(t, proxy, srv))
				c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL(srv.URL), quickRetry)
				err := op.do(t.Context(), c)
				require.ErrorContains(t, err, fmt.Sprintf("the proxy %s refused the connection: %d %s", hostOf(t, proxy.URL), status, http.StatusText(status)))
				require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)
				assertOneLine(t, err)
				assert.EqualValues(t, attempts, connects.Load(), "attempts")
			})
		}
	}
}

// If a proxy refuses a CONNECT, net/http's error is the status text alone.
func TestProxyThatRefusesTheCallersTransportIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	srv, _ := newHTTP2(t, false, func(http.ResponseWriter, *http.Request) { assert.Fail(t, "a request got through") })
	for status, attempts := range map[int]int{http.StatusProxyAuthRequired: 1, http.StatusForbidden: 1, http.StatusBadGateway: 4} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			proxy, connects := newProxy(t, status)
			tr := newProxied(t, proxy, srv)
			c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL(srv.URL), quickRetry, fastly.WithHTTPClient(&http.Client{Transport: tr}))
			_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: "deploy"})
			require.ErrorContains(t, err, http.StatusText(status))
			require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)
			assert.EqualValues(t, attempts, connects.Load(), "attempts")
		})
	}
}

// Only a proxy of the environment is left out for loopback.
func TestProxyThatTheCallerSetIsUsedForLoopback(t *testing.T) {
	t.Parallel()
	srv, proxy := newStub(t, http.StatusOK, nil, tokenJSON), newStub(t, http.StatusOK, nil, tokenJSON)
	c := srv.client(t, fastly.WithHTTPClient(&http.Client{Transport: newProxied(t, proxy.Server, srv.Server)}))
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, srv.URL+"/tokens/self", proxy.request(t).uri)
	assert.Empty(t, srv.requests())
}

// net/http reads HTTP_PROXY once, so a program of its own has to. The test
// program runs itself.
func TestLoopbackInUpperCaseNeedsNoProxy(t *testing.T) {
	const variable = "FASTLY_TEST_BASE_URL"
	if base := os.Getenv(variable); base != "" {
		_, err := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL(base), noRetry).Tokens.GetTokenCurrent(t.Context())
		require.NoError(t, err)
		// Other hosts show that the proxy is in effect.
		c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL("http://api.example.com"), fastly.WithInsecurePlainHTTP(), noRetry)
		require.NoError(t, c.Tokens.RevokeTokenCurrent(t.Context()))
		return
	}
	t.Parallel()
	srv := newStub(t, http.StatusOK, nil, tokenJSON)
	proxy := newStub(t, http.StatusNoContent, nil, "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestLoopbackInUpperCaseNeedsNoProxy$") //nolint:gosec // this program itself
	child.Env = append(os.Environ(), variable+"="+strings.Replace(srv.URL, "127.0.0.1", "LOCALHOST", 1), "HTTP_PROXY="+proxy.URL, "NO_PROXY=")
	out, err := child.CombinedOutput()
	require.NoError(t, err, "%s", out)
	srv.request(t)
	assert.Len(t, proxy.requests(), 1, "requests by the proxy")
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
				body = newBody(tokenJSON)
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
			d := failingDialer(errConnRefused, 1<<30)
			below := d.transport()
			c := mustClient(t, quickRetry, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
				if !test.reports {
					r = r.WithContext(context.Background())
				}
				return below.RoundTrip(r)
			})))
			_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
			require.ErrorContains(t, err, "connection refused")
			assert.Equal(t, !test.reports, isUnknown(err), "outcome unknown: %v", err)
			assert.Equal(t, test.dials, d.n.Load(), "dials")
		})
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
	require.ErrorContains(t, err, "the server does not speak TLS (is it plain http?): check the base URL")
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
			assertPrintable(t, err)
		})
	}
}

// http2Server reads each request to its end, and responds with any frames (RFC
// 9113).
type http2Server struct {
	url      string
	roots    *x509.CertPool
	requests atomic.Int32
}

const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway = 0, 1, 3, 4, 7

	flagEnd, flagAck, flagEndHeaders = 1, 1, 4

	protocolError, internalError, refusedStream, cancelStream, enhanceYourCalm, http11Required = 1, 2, 7, 8, 11, 13
)

func writeFrame(w io.Writer, kind, flags byte, stream uint32, payload []byte) {
	frame := []byte{0, 0, byte(len(payload)), kind, flags}
	frame = binary.BigEndian.AppendUint32(frame, stream)
	_, _ = w.Write(append(frame, payload...))
}

func writeReset(w io.Writer, stream, code uint32) {
	writeFrame(w, frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, code))
}

func writeGoAway(w io.Writer, last, code uint32) {
	writeFrame(w, frameGoAway, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, last), code))
}

// writeResponse writes a 200 or, without a body, a 204.
func writeResponse(w io.Writer, stream uint32, body string) {
	const status200, status204 = 0x88, 0x89 // RFC 7541, appendix A
	if body == "" {
		writeFrame(w, frameHeaders, flagEnd|flagEndHeaders, stream, []byte{status204})
		return
	}
	writeFrame(w, frameHeaders, flagEndHeaders, stream, []byte{status200})
	writeFrame(w, frameData, flagEnd, stream, []byte(body))
}

func newHTTP2Server(t *testing.T, respond func(conn net.Conn, stream uint32)) *http2Server {
	t.Helper()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	s := &http2Server{roots: x509.NewCertPool()}
	s.roots.AddCert(certified.Certificate())
	config := &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12}
	certified.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	return s.start(t, "https", listener, respond)
}

// newPlainHTTP2Server is newHTTP2Server without TLS.
func newPlainHTTP2Server(t *testing.T, respond func(conn net.Conn, stream uint32)) *http2Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return new(http2Server).start(t, "http", listener, respond)
}

func (s *http2Server) start(t *testing.T, scheme string, listener net.Listener, respond func(conn net.Conn, stream uint32)) *http2Server {
	t.Helper()
	s.url = scheme + "://" + listener.Addr().String()
	var wg sync.WaitGroup
	closed := make(chan struct{})
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				<-closed // a client may leave connections open
				_ = conn.Close()
			})
			wg.Go(func() {
				defer conn.Close()
				s.serve(conn, respond)
			})
		}
	})
	t.Cleanup(func() {
		assert.NoError(t, listener.Close())
		close(closed)
		wg.Wait()
	})
	return s
}

func (s *http2Server) serve(conn net.Conn, respond func(net.Conn, uint32)) {
	if _, err := io.CopyN(io.Discard, conn, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return
	}
	writeFrame(conn, frameSettings, 0, 0, nil)
	for {
		var head [9]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		length := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
		if _, err := io.CopyN(io.Discard, conn, length); err != nil {
			return
		}
		switch kind, flags := head[3], head[4]; {
		case kind == frameSettings && flags&flagAck == 0:
			writeFrame(conn, frameSettings, flagAck, 0, nil)
		case (kind == frameData || kind == frameHeaders) && flags&flagEnd != 0:
			s.requests.Add(1)
			respond(conn, binary.BigEndian.Uint32(head[5:]))
		}
	}
}

func (s *http2Server) client(t *testing.T, opts ...fastly.Option) *fastly.Client {
	t.Helper()
	return mustClient(t, append([]fastly.Option{
		fastly.WithBaseURL(s.url), fastly.WithAPIKey(someKey), noRetry, fastly.WithHTTPClient(&http.Client{Transport: s.transport()}),
	}, opts...)...)
}

func (s *http2Server) transport() *http.Transport {
	if s.roots == nil {
		tr := &http.Transport{Protocols: new(http.Protocols)}
		tr.Protocols.SetUnencryptedHTTP2(true)
		return tr
	}
	return &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}}
}

// http2Failures are those after which a request may have been processed.
var http2Failures = map[string]func(conn net.Conn, stream uint32){
	"PROTOCOL_ERROR":    func(conn net.Conn, stream uint32) { writeReset(conn, stream, protocolError) }, // net/http repeats the request
	"INTERNAL_ERROR":    func(conn net.Conn, stream uint32) { writeReset(conn, stream, internalError) },
	"CANCEL":            func(conn net.Conn, stream uint32) { writeReset(conn, stream, cancelStream) },
	"ENHANCE_YOUR_CALM": func(conn net.Conn, stream uint32) { writeReset(conn, stream, enhanceYourCalm) },
	"HTTP_1_1_REQUIRED": func(conn net.Conn, stream uint32) { writeReset(conn, stream, http11Required) },
	"going away": func(conn net.Conn, _ uint32) {
		writeGoAway(conn, 1<<31-1, 0)
		_ = conn.Close()
	},
	"gone away": func(conn net.Conn, _ uint32) {
		writeGoAway(conn, 1, internalError)
		_ = conn.Close()
	},
	"closed": func(conn net.Conn, _ uint32) { _ = conn.Close() },
}

func TestCreateOverHTTP2IsSentOnce(t *testing.T) {
	t.Parallel()
	for name, fail := range http2Failures {
		for what, req := range map[string]*fastly.CreateTokenRequest{"with a body": {Name: someName}, "without one": {}} {
			for kind, start := range map[string]func(*testing.T, func(net.Conn, uint32)) *http2Server{
				"over TLS": newHTTP2Server, "without TLS": newPlainHTTP2Server,
			} {
				t.Run(name+" "+what+" "+kind, func(t *testing.T) {
					t.Parallel()
					srv := start(t, fail)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					_, err := srv.client(t, quickRetry).Tokens.CreateToken(ctx, req)
					require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
					require.NoError(t, ctx.Err(), "it ends by itself")
					assert.EqualValues(t, 1, srv.requests.Load(), "requests")
				})
			}
		}
	}
}

// net/http would repeat a request without end.
func TestAttemptsOverHTTP2AreBounded(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		for name, fail := range http2Failures {
			t.Run(op.name+" "+name, func(t *testing.T) {
				t.Parallel()
				srv := newHTTP2Server(t, fail)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err := op.do(ctx, srv.client(t))
				require.Error(t, err)
				require.NoError(t, ctx.Err(), "it ends by itself")
				if n := srv.requests.Load(); op.kind == fastly.KindRead && n > 1 { // net/http repeats it
					assert.EqualValues(t, 4, n, "requests")
					assert.ErrorContains(t, err, "the HTTP/2 connection was lost after the request was sent")
				} else {
					assert.EqualValues(t, 1, n, "requests")
				}
			})
		}
	}
}

// Over HTTP/1, a server may have closed all connections that a client keeps.
func TestReadSurvivesThatAllKeptConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	const kept = 60
	var served, closed atomic.Int32
	all := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		onConnection, ok := r.Context().Value(connectionKey{}).(*atomic.Int32)
		if assert.True(t, ok) && onConnection.Add(1) > 1 {
			closed.Add(1)
			panic(http.ErrAbortHandler)
		}
		if served.Add(1) == kept {
			close(all)
		}
		<-all // so that each has a connection of its own
		_, _ = io.WriteString(w, tokenJSON)
	}))
	srv.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, new(atomic.Int32))
	}
	srv.Start()
	t.Cleanup(srv.Close)
	c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL(srv.URL), noRetry)
	var wg sync.WaitGroup
	for range kept {
		wg.Go(func() {
			_, err := c.Tokens.GetTokenCurrent(t.Context())
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Greater(t, closed.Load(), int32(50), "connections that were closed")
}

type connectionKey struct{}

func TestUnprocessedRequestOverHTTP2IsRetried(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(conn net.Conn, stream uint32){
		"REFUSED_STREAM": func(conn net.Conn, stream uint32) { writeReset(conn, stream, refusedStream) },
		"graceful shutdown": func(conn net.Conn, _ uint32) {
			writeGoAway(conn, 0, 0)
			_ = conn.Close()
		},
	} {
		for _, op := range operations {
			t.Run(name+" "+op.name, func(t *testing.T) {
				t.Parallel()
				var n atomic.Int32
				srv := newHTTP2Server(t, func(conn net.Conn, stream uint32) {
					if n.Add(1) == 1 {
						fail(conn, stream)
						return
					}
					writeResponse(conn, stream, op.body)
				})
				require.NoError(t, op.do(t.Context(), srv.client(t, quickRetry)))
				assert.EqualValues(t, 2, n.Load(), "requests")
			})
		}
	}
}

func TestRequestThatIsNeverProcessedIsNotOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		if op.method == http.MethodGet {
			continue // which net/http repeats by itself
		}
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			srv := newHTTP2Server(t, func(conn net.Conn, stream uint32) { writeReset(conn, stream, refusedStream) })
			err := op.do(t.Context(), srv.client(t, quickRetry))
			require.ErrorContains(t, err, "the server closed the HTTP/2 stream before it processed the request (after 4 attempts)")
			require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)
		})
	}
}

// heldConn lets the preface of HTTP/2 through, and holds what comes after it.
type heldConn struct {
	net.Conn
	writes       atomic.Int32
	held, closed chan struct{}
	once         sync.Once
}

func (c *heldConn) Write(p []byte) (int, error) {
	switch c.writes.Add(1) {
	case 1:
		return c.Conn.Write(p)
	case 2:
		close(c.held)
	}
	<-c.closed
	return 0, net.ErrClosed
}

func (c *heldConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// Servers limit the streams of a connection, and end it with GOAWAY after a number
// of requests, although nothing is wrong.
func TestHealthyHTTP2LosesNoCreate(t *testing.T) {
	t.Parallel()
	const goroutines, creates = 16, 640
	for name, test := range map[string]struct {
		streams int   // at a time
		goAway  int32 // after this many requests
	}{
		"one stream at a time": {1, 1 << 30}, "two, and GOAWAY": {2, 100}, "GOAWAY": {100, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var served, rejected atomic.Int32
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if served.Add(1)%test.goAway == 0 {
					w.Header().Set("Connection", "close") // GOAWAY, over HTTP/2
				}
				_, _ = io.WriteString(w, createdJSON)
			}))
			srv.EnableHTTP2 = true
			srv.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: test.streams}
			srv.StartTLS()
			t.Cleanup(srv.Close)
			c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithAPIKey(someKey),
				fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 20, MinBackoff: time.Microsecond, MaxBackoff: time.Millisecond}),
				fastly.WithHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: trust(srv), ForceAttemptHTTP2: true}}))
			var wg sync.WaitGroup
			for range goroutines {
				wg.Go(func() {
					for range creates / goroutines {
						_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: someName})
						// A busy net/http server may count a stream that has ended, and reject
						// the next one with an error that does not say so.
						if err != nil && strings.Contains(err.Error(), "; PROTOCOL_ERROR; received from peer") {
							rejected.Add(1)
							continue
						}
						assert.NoError(t, err)
					}
				})
			}
			wg.Wait()
			assert.EqualValues(t, creates, served.Load()+rejected.Load(), "creates that the server got or rejected")
		})
	}
}

// Some bytes of such a request may have been sent.
func TestContextThatEndsWhileAHeaderIsWrittenLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	var silent sync.WaitGroup
	silent.Go(func() { _, _ = io.Copy(io.Discard, server) })
	conn := &heldConn{Conn: client, held: make(chan struct{}), closed: make(chan struct{})}
	tr := &http.Transport{
		Protocols:   new(http.Protocols),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	tr.Protocols.SetUnencryptedHTTP2(true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-conn.held
		cancel()
	}()
	c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL("http://127.0.0.1"), fastly.WithHTTPClient(&http.Client{Transport: tr}))
	_, err := c.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{Name: "deploy"})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
	require.NoError(t, conn.Close())
	require.NoError(t, server.Close())
	silent.Wait()
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
	calls := 0
	rt := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		calls++
		trace := httptrace.ContextClientTrace(r.Context())
		trace.GetConn("api.fastly.com:443")
		trace.GotConn(httptrace.GotConnInfo{})
		return nil, errors.New("it broke")
	})
	c := mustClient(t, fastly.WithAPIKey(someKey), quickRetry, fastly.WithHTTPClient(&http.Client{Transport: rt}))
	_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: "deploy"})
	require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
	assert.Equal(t, 1, calls, "requests")
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
	assert.Eventually(t, func() bool { return count() == 0 }, 5*time.Second, time.Millisecond)
	_, err = client.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err, "the client still works")
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
		c := mustClient(t, fastly.WithAPIKey(someKey), noRetry, fastly.WithHTTPClient(&http.Client{Transport: endingWith(op.body), Timeout: time.Millisecond}))
		require.NoError(t, op.do(t.Context(), c), op.name)
	}
}

func TestBodyThatEndsOnTimeoutIsNotWhole(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		c := mustClient(t, fastly.WithAPIKey(someKey), noRetry, fastly.WithHTTPClient(&http.Client{Transport: endingWith(""), Timeout: time.Millisecond}))
		err := op.do(t.Context(), c)
		if op.method == http.MethodDelete {
			require.NoError(t, err, "a 2xx says that the revoke was applied")
			continue
		}
		require.ErrorIs(t, err, context.DeadlineExceeded, op.name)
		assert.ErrorContains(t, err, "the response was truncated")
		assert.Equal(t, op.kind == fastly.KindCreate, isUnknown(err), "outcome unknown: %v", err)
	}
}

// fewReplaced allows for connections that net/http replaces on a busy machine: it
// keeps none whose request is not known to be written within 50 ms.
const fewReplaced = 10

func TestCallsInSequenceUseOneConnection(t *testing.T) {
	t.Parallel()
	var turns, failures atomic.Int32
	srv, conns := newCounted(t, func(w http.ResponseWriter, r *http.Request) { respondByTurns(w, r, turns.Add(1)) })
	for name, option := range map[string]fastly.Option{
		"key": fastly.WithAPIKey(someKey), "password": fastly.WithBasicAuth("alice", "secret"),
	} {
		conns.Store(0)
		c := mustClient(t, noRetry, fastly.WithBaseURL(srv.URL), option)
		for n := range 240 { // each operation twice with each response
			if err := operations[n%len(operations)].do(t.Context(), c); err != nil {
				failures.Add(1)
			}
		}
		assert.LessOrEqual(t, conns.Load(), int32(fewReplaced), "connections with a %s", name)
	}
	assert.Greater(t, failures.Load(), int32(120), "failures among the calls")
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
		respondByTurns(w, r, turn)
	})
	c := mustClient(t, quickRetry, fastly.WithBaseURL(srv.URL), fastly.WithAPIKey(someKey))
	for range 40 {
		_, err := c.Tokens.ListTokensUser(t.Context())
		require.NoError(t, err)
	}
	assert.EqualValues(t, 160, turns.Load(), "requests")
	assert.LessOrEqual(t, conns.Load(), int32(fewReplaced), "connections")
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
	srv, _ := newCounted(t, func(w http.ResponseWriter, r *http.Request) { respondByTurns(w, r, 10*turns.Add(1)) })
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
		assert.Equal(t, test.unknown, isUnknown(err), "%s: %v", name, err)
		assert.Equal(t, test.dials, dials.Load(), "%s: dials", name)
	}
}

func TestCloseIdleConnectionsReachesTheTransportBelow(t *testing.T) {
	t.Parallel()
	srv, conns := newCounted(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tokenJSON) })
	wrap := fastly.WithMiddleware(func(next http.RoundTripper) http.RoundTripper { return roundTripFunc(next.RoundTrip) })
	host := hostOf(t, srv.URL)
	for name, opts := range map[string][]fastly.Option{
		"own":        {fastly.WithAPIKey(someKey)},
		"middleware": {fastly.WithAPIKey(someKey), wrap},
		"key":        {fastly.WithTransport(&fastly.APIKeyTransport{Key: someKey, Host: host, Base: new(http.Transport)}), wrap},
		"Basic":      {fastly.WithTransport(&fastly.BasicAuthTransport{Username: "a", Password: "b", Host: host, Base: new(http.Transport)})},
	} {
		c := mustClient(t, append(opts, fastly.WithBaseURL(srv.URL), noRetry)...)
		before := conns.Load()
		for range 2 {
			_, err := c.Tokens.GetTokenCurrent(t.Context())
			require.NoError(t, err, name)
			c.CloseIdleConnections()
		}
		assert.EqualValues(t, before+2, conns.Load(), "%s: connections", name)
	}
}
