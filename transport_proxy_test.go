package fastly_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

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
	srv := newQuietTLS(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tokenJSON) }))
	t.Cleanup(srv.Close)
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
	srv := newQuietTLS(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { assert.Fail(t, "a request got through") }))
	t.Cleanup(srv.Close)
	for status, attempts := range map[int]int{http.StatusProxyAuthRequired: 1, http.StatusForbidden: 1, http.StatusBadGateway: 4, http.StatusServiceUnavailable: 4} {
		for _, op := range operations {
			t.Run(fmt.Sprint(status, op.name), func(t *testing.T) {
				proxy, connects := newProxy(t, status)
				useDefaultTransport(t, newProxied(t, proxy, srv))
				c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL(srv.URL), quickRetry)
				err := op.do(t.Context(), c)
				require.ErrorContains(t, err, fmt.Sprintf("dial through the proxy %s: %d %s", hostOf(t, proxy.URL), status, http.StatusText(status)))
				require.ErrorContains(t, err, hintNetwork)
				require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)
				assertOneLine(t, err)
				assert.EqualValues(t, attempts, connects.Load(), "attempts")
			})
		}
	}
}

// If a proxy refuses a CONNECT, net/http's error is the reason phrase alone, which reads like the API's.
func TestProxyThatRefusesTheCallersTransportIsNamed(t *testing.T) {
	t.Parallel()
	for answer, attempts := range map[string]int32{
		"407 Proxy Authentication Required": 1, "403 Forbidden": 1, "502 Bad Gateway": 4,
		"403 Access Denied": 4, "407": 4, "302 Found": 4, "": 4, "not HTTP": 4, // no status is known
		"200 OK": 4, // and then nothing
	} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			var connects atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				connects.Add(1)
				conn, _, err := http.NewResponseController(w).Hijack()
				if assert.NoError(t, err) && answer != "" {
					_, _ = io.WriteString(conn, "HTTP/1.1 "+answer+"\r\nContent-Length: 0\r\n\r\n")
				}
				_ = conn.Close()
			}))
			t.Cleanup(srv.Close)
			proxy := hostOf(t, srv.URL)
			same := fastly.WithMiddleware(func(next http.RoundTripper) http.RoundTripper { return next })
			for i, op := range slices.Concat(operations, operations) {
				connects.Store(0)
				tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: proxy, User: url.UserPassword("jane", canaryPassword)})}
				c := mustClient(t, fastly.WithAPIKey(someKey), quickRetry, fastly.WithHTTPClient(&http.Client{Transport: tr}))
				if i >= len(operations) {
					var err error
					c, err = c.With(same)
					require.NoError(t, err)
				}
				err := op.do(t.Context(), c)
				require.ErrorContains(t, err, "fastly: "+op.method+" "+op.path+": dial through the proxy "+proxy+": ")
				_, phrase, _ := strings.Cut(answer, " ")
				if len(phrase) > len("HTTP") {
					require.ErrorContains(t, err, proxy+": "+phrase)
				}
				require.ErrorContains(t, err, hintNetwork)
				require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)
				assertOneLine(t, err)
				assertNoSecret(t, err)
				assert.Equal(t, attempts, connects.Load(), "attempts")
			}
		})
	}
}

// An error of net/http's own about the proxy names it as it was dialed.
func TestProxyThatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.UnixAddr{Name: "proxy1.example:3128"}, Err: errors.New("connection refused")}
	for name, wrap := range map[string]func(http.RoundTripper) http.RoundTripper{
		"net/http's": func(rt http.RoundTripper) http.RoundTripper { return rt },
		"wrapped":    func(rt http.RoundTripper) http.RoundTripper { return roundTripFunc(rt.RoundTrip) },
	} {
		for _, op := range operations {
			var n int
			tr := &http.Transport{
				Proxy: func(*http.Request) (*url.URL, error) { // another one each time
					n++
					return &url.URL{Scheme: "http", Host: fmt.Sprintf("proxy%d.example:3128", n)}, nil
				},
				DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, refused },
			}
			err := op.do(t.Context(), mustClient(t, fastly.WithAPIKey(someKey), noRetry, fastly.WithHTTPClient(&http.Client{Transport: wrap(tr)})))
			require.EqualError(t, err, "fastly: "+op.method+" "+op.path+": proxyconnect tcp: dial tcp proxy1.example:3128: connection refused"+hintNetwork, name)
			assert.Equal(t, 1, n, "calls of Proxy")
		}
	}
}

func TestSOCKSProxyThatRefusesIsNamed(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		srv := httptest.NewUnstartedServer(nil)
		srv.Config.ConnState = func(conn net.Conn, state http.ConnState) {
			if state == http.StateNew {
				_ = conn.Close()
			}
		}
		srv.Start()
		t.Cleanup(srv.Close)
		proxies := []string{hostOf(t, srv.URL), "another.example:1080"}
		tr := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
			proxy := &url.URL{Scheme: "socks5", Host: proxies[0]}
			proxies = proxies[1:]
			return proxy, nil
		}}
		err := op.do(t.Context(), mustClient(t, fastly.WithAPIKey(someKey), noRetry, fastly.WithHTTPClient(&http.Client{Transport: tr})))
		require.ErrorContains(t, err, "fastly: "+op.method+" "+op.path+": socks connect tcp "+hostOf(t, srv.URL)+"->")
		require.ErrorContains(t, err, hintNetwork)
	}
}

// brokenConn is a connection to a proxy that breaks before its response.
type brokenConn struct{ net.Conn }

func (c brokenConn) Read([]byte) (int, error) {
	return 0, &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
}

func TestProxyWhoseConnectionBreaksIsNamed(t *testing.T) {
	t.Parallel()
	tr := &http.Transport{
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example:3128"}),
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, there) }()
			return brokenConn{here}, nil
		},
	}
	_, err := mustClient(t, fastly.WithAPIKey(someKey), noRetry, fastly.WithHTTPClient(&http.Client{Transport: tr})).Tokens.GetTokenCurrent(t.Context())
	require.ErrorContains(t, err, "connection reset by peer")
	assert.ErrorContains(t, err, "dial through the proxy proxy.example:3128: ")
}

func TestProxyFunctionThatFailsNamesNone(t *testing.T) {
	t.Parallel()
	tr := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
		return &url.URL{Scheme: "http", Host: "proxy.example:3128"}, errors.New("no proxy known")
	}}
	for _, op := range operations {
		err := op.do(t.Context(), mustClient(t, fastly.WithAPIKey(someKey), noRetry, fastly.WithHTTPClient(&http.Client{Transport: tr})))
		require.ErrorContains(t, err, "fastly: "+op.method+" "+op.path+": no proxy known")
		assert.NotContains(t, err.Error(), "proxy.example")
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
