package fastly_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// sender sends a create, and with it every kind of credential there is, to a
// base URL whose TLS certificate roots trust.
type sender struct {
	name     string
	isClient bool // which follows no redirect at all
	send     func(t *testing.T, base string, tlsConfig *tls.Config) error
}

// createWith creates a token by a Client.
func createWith(t *testing.T, base string, opts ...fastly.Option) error {
	t.Helper()
	c := mustClient(t, append([]fastly.Option{fastly.WithBaseURL(base), quickly}, opts...)...)
	skipWaits(c)
	_, err := c.Tokens.CreateToken(t.Context(), canaryRequest())
	return err
}

// postWith posts a create's body by an http.Client of the standard library over
// one of the transports, which is asked to follow each redirect.
func postWith(t *testing.T, base string, rt http.RoundTripper) error {
	t.Helper()
	hc := &http.Client{
		Transport: rt,
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > 3 {
				return errors.New("going in circles")
			}
			return nil
		},
	}
	form := url.Values{"username": {canaryLogin}, "password": {canaryPassword}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/tokens", strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Fastly-OTP", canaryOTP)
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func hostOf(t *testing.T, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	return u.Host
}

// followAll is a caller's own http.Client, which would follow anything.
func followAll(config *tls.Config) *http.Client {
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: config},
		CheckRedirect: func(*http.Request, []*http.Request) error { return nil },
	}
}

var senders = []sender{
	{"client with a key", true, func(t *testing.T, base string, config *tls.Config) error {
		return createWith(t, base, fastly.WithAPIKey(canaryKey), fastly.WithHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: config}}))
	}},
	{"client with a key function", true, func(t *testing.T, base string, config *tls.Config) error {
		return createWith(t, base, fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return canaryKey, nil }),
			fastly.WithHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: config}}))
	}},
	{"client with a password", true, func(t *testing.T, base string, config *tls.Config) error {
		return createWith(t, base, fastly.WithBasicAuth(canaryLogin, canaryPassword), fastly.WithHTTPClient(followAll(config)))
	}},
	{"client over an http.Client that follows", true, func(t *testing.T, base string, config *tls.Config) error {
		return createWith(t, base, fastly.WithAPIKey(canaryKey), fastly.WithHTTPClient(followAll(config)))
	}},
	{"client over a transport of one's own", true, func(t *testing.T, base string, config *tls.Config) error {
		return createWith(t, base, fastly.WithTransport(&fastly.APIKeyTransport{
			Key: canaryKey, Host: hostOf(t, base), Base: &http.Transport{TLSClientConfig: config},
		}))
	}},
	{"APIKeyTransport alone", false, func(t *testing.T, base string, config *tls.Config) error {
		return postWith(t, base, &fastly.APIKeyTransport{Key: canaryKey, Host: hostOf(t, base), Base: &http.Transport{TLSClientConfig: config}})
	}},
	{"APIKeyTransport with a function alone", false, func(t *testing.T, base string, config *tls.Config) error {
		return postWith(t, base, &fastly.APIKeyTransport{
			KeyFunc: func(context.Context) (fastly.Secret, error) { return canaryKey, nil },
			Host:    hostOf(t, base), Base: &http.Transport{TLSClientConfig: config},
		})
	}},
	{"BasicAuthTransport alone", false, func(t *testing.T, base string, config *tls.Config) error {
		return postWith(t, base, &fastly.BasicAuthTransport{
			Username: canaryLogin, Password: canaryPassword, Host: hostOf(t, base), Base: &http.Transport{TLSClientConfig: config},
		})
	}},
}

// trap notes whoever comes by. Nobody should.
func trap(t *testing.T, start func(http.Handler) *httptest.Server) (rawURL string, visits *atomic.Int32, config *tls.Config) {
	t.Helper()
	visits = new(atomic.Int32)
	srv := start(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		visits.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, visits, trustIn(srv)
}

func trustIn(srv *httptest.Server) *tls.Config {
	roots := x509.NewCertPool()
	if cert := srv.Certificate(); cert != nil {
		roots.AddCert(cert)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

func TestCredentialsDoNotFollowRedirects(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, from := range senders {
			for _, leap := range []string{"another port", "another host", "https to http", "https to https elsewhere"} {
				t.Run(fmt.Sprintf("%d/%s/%s", status, from.name, leap), func(t *testing.T) {
					t.Parallel()
					startHome, startAway := httptest.NewServer, httptest.NewServer
					switch leap {
					case "https to http":
						startHome = newQuietTLS
					case "https to https elsewhere":
						startHome, startAway = newQuietTLS, newQuietTLS
					}
					away, visits, awayConfig := trap(t, startAway)
					if leap == "another host" {
						away = strings.Replace(away, "127.0.0.1", "localhost", 1)
					}
					var asked atomic.Int32
					home := startHome(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						asked.Add(1)
						http.Redirect(w, r, away+"/tokens", status)
					}))
					t.Cleanup(home.Close)
					config := trustIn(home)
					if leap == "https to https elsewhere" {
						// One certificate serves all test servers: the client would
						// trust the other one.
						config = awayConfig
					}

					err := from.send(t, home.URL, config)
					assert.Zero(t, visits.Load(), "requests that came to where the redirect pointed")
					assert.EqualValues(t, 1, asked.Load(), "requests to the API")
					require.ErrorContains(t, err, hostOf(t, away), "the error has to name the host")
					assertNoSecret(t, err)
				})
			}
		}
	}
}

// TestRedirectToAnotherNameOfTheSameServer leads to the same address and port
// by another name, which may be somebody else's at any time.
func TestRedirectToAnotherNameOfTheSameServer(t *testing.T) {
	t.Parallel()
	for _, from := range senders {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			home := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
				away := strings.Replace(r.Host, "127.0.0.1", "localhost", 1)
				http.Redirect(w, r, "http://"+away+"/tokens", http.StatusTemporaryRedirect)
			})
			err := from.send(t, home.URL, nil)
			home.only(t)
			require.ErrorContains(t, err, "localhost:")
			assertNoSecret(t, err)
		})
	}
}

func TestClientFollowsNoRedirectEvenAtHome(t *testing.T) {
	t.Parallel()
	for _, from := range senders {
		if !from.isClient {
			continue
		}
		home := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		})
		err := from.send(t, home.URL, nil)
		home.only(t)
		assert.Equal(t, http.StatusTemporaryRedirect, answerOf(t, err).StatusCode, from.name)
		assert.ErrorContains(t, err, "redirect to "+hostOf(t, home.URL), from.name)
	}
}

func TestRedirectOfEachMethodIsAnErrorThatNamesTheHost(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, op := range retryOps {
			r := newRetryRig(t, op)
			r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Redirect, Status: status, Location: "https://evil.example/tokens"})
			err := r.do()
			assert.Equal(t, status, answerOf(t, err).StatusCode)
			assert.ErrorContains(t, err, "redirect to evil.example not followed")
			assert.ErrorContains(t, err, "credentials are only sent to "+hostOf(t, r.srv.URL))
			r.assertRequests(1)
		}
	}
}

func TestOddLocations(t *testing.T) {
	t.Parallel()
	for _, location := range []string{
		"", ":", "//", "%zz", "http://[::1", "http://[" + canaryKey + "/", "javascript:alert(1)", "http://\x1b[31m.example/",
		"https://" + canaryKey + "@evil.example/", "https://" + canaryKey + ".evil.example/", "http://a b/", strings.Repeat("x", 1<<16),
	} {
		for _, from := range senders {
			if !from.isClient || from.name == "client with a password" && strings.Contains(location, canaryKey) {
				continue // the key is no secret of a request without it
			}
			home := newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Location"] = []string{location}
				w.WriteHeader(http.StatusFound)
			})
			err := from.send(t, home.URL, nil)
			require.Error(t, err, "%q", location)
			home.only(t)
			assertNoSecret(t, err)
			assertFitToPrint(t, err)
		}
	}
}

// bothWays takes TLS and plain HTTP on one port, as a server behind a hostile
// network may seem to.
type bothWays struct {
	net.Listener
	config *tls.Config
	conns  chan net.Conn
}

func (b *bothWays) Accept() (net.Conn, error) {
	if conn, ok := <-b.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (b *bothWays) run() {
	defer close(b.conns)
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return
		}
		r := bufio.NewReader(conn)
		first, err := r.Peek(1)
		peeked := net.Conn(&peekedConn{conn, r})
		if err == nil && first[0] == 0x16 { // a TLS handshake record
			peeked = tls.Server(peeked, b.config)
		}
		b.conns <- peeked
	}
}

type peekedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *peekedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// TestRedirectFromTLSToPlainHTTPOnTheSamePort has nothing but the scheme
// change.
func TestRedirectFromTLSToPlainHTTPOnTheSamePort(t *testing.T) {
	t.Parallel()
	for _, from := range senders {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			lender := httptest.NewTLSServer(http.NotFoundHandler())
			defer lender.Close()
			listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			both := &bothWays{
				Listener: listener, conns: make(chan net.Conn),
				config: &tls.Config{Certificates: lender.TLS.Certificates, MinVersion: tls.VersionTLS12},
			}
			go both.run()
			var secure, plain atomic.Int32
			home := &http.Server{ReadHeaderTimeout: time.Minute, ErrorLog: discardLog, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.TLS == nil {
					plain.Add(1)
					return
				}
				secure.Add(1)
				http.Redirect(w, r, "http://"+r.Host+"/tokens", http.StatusPermanentRedirect)
			})}
			served := make(chan error, 1)
			go func() { served <- home.Serve(both) }()
			t.Cleanup(func() {
				assert.NoError(t, home.Close())
				assert.ErrorIs(t, <-served, http.ErrServerClosed)
			})

			err = from.send(t, "https://"+listener.Addr().String(), trustIn(lender))
			assert.Zero(t, plain.Load(), "requests by plain http")
			assert.EqualValues(t, 1, secure.Load(), "requests by https")
			require.ErrorContains(t, err, listener.Addr().String())
			assertNoSecret(t, err)
		})
	}
}

// recorder is a transport that sends nothing, and notes what it was to send.
type recorder struct {
	requests atomic.Int32
	closed   atomic.Int32
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.requests.Add(1)
	if req.Body != nil {
		if err := req.Body.Close(); err != nil {
			return nil, err
		}
	}
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
}

// closeNoter notes that a request's body was closed.
type closeNoter struct {
	io.Reader
	closed *atomic.Int32
}

func (c closeNoter) Close() error {
	c.closed.Add(1)
	return nil
}

func TestTransportsSendToTheirHostOnly(t *testing.T) {
	t.Parallel()
	for host, cases := range map[string]map[string]bool{
		"": {
			"https://api.fastly.com/tokens": true, "https://API.Fastly.com/tokens": true, "https://api.fastly.com:443/tokens": true,
			"http://api.fastly.com/tokens": false, "https://api.fastly.com:8443/": false, "https://api.fastly.com./": false,
			"https://api.fastly.com.evil.example/": false, "https://evil.example/": false, "https://fastly.com/": false,
			"https://api.fastly.com@evil.example/": false, "ftp://api.fastly.com/": false, "https:///tokens": false, "/tokens": false,
		},
		"api.fastly.com": {"https://api.fastly.com:443/": true, "https://api.fastly.com/": true, "https://api.fastly.com:444/": false},
		"127.0.0.1:8080": {"http://127.0.0.1:8080/": true, "http://127.0.0.1:8081/": false, "http://127.0.0.1/": false, "http://localhost:8080/": false, "http://[::1]:8080/": false},
		"[::1]:8080":     {"http://[::1]:8080/": true, "http://[::1]:80/": false, "https://[::1]:8080/": true, "http://[::2]:8080/": false},
		"10.1.2.3":       {"https://10.1.2.3/": true, "http://10.1.2.3/": false, "http://10.1.2.3:443/": false},
	} {
		for rawURL, wanted := range cases {
			for _, kind := range []string{"key", "function", "password"} {
				base := new(recorder)
				var asked atomic.Int32
				var rt http.RoundTripper
				switch kind {
				case "key":
					rt = &fastly.APIKeyTransport{Key: canaryKey, Host: host, Base: base}
				case "function":
					rt = &fastly.APIKeyTransport{Host: host, Base: base, KeyFunc: func(context.Context) (fastly.Secret, error) {
						asked.Add(1)
						return canaryKey, nil
					}}
				default:
					rt = &fastly.BasicAuthTransport{Username: canaryLogin, Password: canaryPassword, Host: host, Base: base}
				}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, rawURL, closeNoter{strings.NewReader("x"), &base.closed})
				require.NoError(t, err)
				resp, err := rt.RoundTrip(req)
				assert.EqualValues(t, 1, base.closed.Load(), "the body has to be closed: %s", rawURL)
				if wanted {
					require.NoError(t, err, "%s for %q", rawURL, host)
					require.NoError(t, resp.Body.Close())
					continue
				}
				require.Error(t, err, "%s for %q", rawURL, host)
				assert.Zero(t, base.requests.Load(), "%s for %q was sent", rawURL, host)
				assert.Zero(t, asked.Load(), "the key was asked for: %s", rawURL)
				assert.ErrorContains(t, err, req.URL.Host)
				assertNoSecret(t, err)
			}
		}
	}
}

func TestPlainHTTPIsRefusedUnlessLoopback(t *testing.T) {
	t.Parallel()
	for host, loopback := range map[string]bool{
		"localhost": true, "LOCALHOST:8080": true, "127.0.0.1": true, "127.9.8.7:1": true, "[::1]": true, "[::1]:8080": true, "[::ffff:127.0.0.1]": true,
		"api.fastly.com": false, "10.0.0.1": false, "192.168.1.1:8080": false, "0.0.0.0": false, "[::]": false, "169.254.0.1": false,
		"localhost.evil.example": false, "127.0.0.1.evil.example": false, "127.0.0.1x": false, "1270.0.1": false,
	} {
		for name, auth := range map[string]fastly.Option{
			"key":       fastly.WithAPIKey(canaryKey),
			"password":  fastly.WithBasicAuth(canaryLogin, canaryPassword),
			"transport": fastly.WithTransport(new(recorder)),
		} {
			_, err := fastly.NewClient(auth, fastly.WithBaseURL("http://"+host))
			if loopback {
				require.NoError(t, err, host)
			} else {
				assertRefused(t, err, "plain http", "could read the credentials", "https")
			}
			_, err = fastly.NewClient(auth, fastly.WithBaseURL("http://"+host), fastly.WithInsecurePlainHTTP())
			require.NoError(t, err, "%s %s allowed on purpose", name, host)
			_, err = fastly.NewClient(fastly.WithInsecurePlainHTTP(), fastly.WithBaseURL("https://"+host), auth)
			require.NoError(t, err)
		}
	}
}

func TestInsecurePlainHTTPSendsToItsHostOnly(t *testing.T) {
	t.Parallel()
	home := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "fastly-proxy.internal.example:8080" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		http.Redirect(w, r, "http://evil.example:8080/", http.StatusTemporaryRedirect)
	})
	tr := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, hostOf(t, home.URL))
	}}
	for _, auth := range []fastly.Option{fastly.WithAPIKey(canaryKey), fastly.WithBasicAuth(canaryLogin, canaryPassword)} {
		err := createWith(t, "http://fastly-proxy.internal.example:8080", auth,
			fastly.WithInsecurePlainHTTP(), fastly.WithHTTPClient(&http.Client{Transport: tr}))
		require.ErrorContains(t, err, "redirect to evil.example:8080 not followed")
		assertNoSecret(t, err)
	}
	assert.Len(t, home.seen(), 2)
}

func TestPlainHTTPFromTheEnvironmentIsRefused(t *testing.T) {
	t.Setenv("FASTLY_API_TOKEN", canaryKey)
	t.Setenv("FASTLY_API_URL", "http://api.fastly.com")
	_, err := fastly.NewClientFromEnv()
	assertRefused(t, err, "plain http", "could read the credentials")
	assertNoSecret(t, err)
}

// TestCredentialsThatNoHeaderCanCarry checks that they are neither sent nor
// shown: most are a real credential with a line break at its end.
func TestCredentialsThatNoHeaderCanCarry(t *testing.T) {
	t.Parallel()
	home := newStub(t, http.StatusOK, nil, createdAnswer)
	var spoilt []string
	for _, bad := range []string{"\n", "\r\n", "\r", "\x00", "\x7f", "\x1b[2J"} {
		spoilt = append(spoilt, canaryKey+bad, bad+canaryKey, canaryKey+bad+"Injected: header")
	}
	for _, value := range spoilt {
		host := hostOf(t, home.URL)
		for name, try := range map[string]func() error{
			"WithAPIKey":    func() error { _, err := fastly.NewClient(fastly.WithAPIKey(value)); return err },
			"WithBasicAuth": func() error { _, err := fastly.NewClient(fastly.WithBasicAuth("u", value)); return err },
			"user name":     func() error { _, err := fastly.NewClient(fastly.WithBasicAuth(value, "p")); return err },
			"WithAPIKeyFunc": func() error {
				return createWith(t, home.URL, fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return fastly.Secret(value), nil }))
			},
			"APIKeyTransport": func() error {
				return postWith(t, home.URL, &fastly.APIKeyTransport{Key: fastly.Secret(value), Host: host})
			},
			"BasicAuthTransport": func() error {
				return postWith(t, home.URL, &fastly.BasicAuthTransport{Username: "u", Password: fastly.Secret(value), Host: host})
			},
			"OTP": func() error {
				_, err := home.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{OTP: fastly.Secret(value)})
				return err
			},
		} {
			err := try()
			require.ErrorIs(t, err, fastly.ErrInvalidArgument, name)
			assertNoSecret(t, err)
			assertFitToPrint(t, err)
		}
	}
	for _, value := range []string{canaryKey + " ", " " + canaryKey, canaryKey + "é", canaryKey + "\u202e"} {
		_, err := fastly.NewClient(fastly.WithAPIKey(value))
		require.ErrorIs(t, err, fastly.ErrInvalidArgument)
		assertNoSecret(t, err)
	}
	assert.Empty(t, home.seen(), "nothing of it may be sent")
}

// TestBaseURLsThatHoldASecretAreNotShown has the mistakes that put one there.
func TestBaseURLsThatHoldASecretAreNotShown(t *testing.T) {
	t.Parallel()
	for _, rawURL := range []string{
		"https://" + canaryLogin + ":" + canaryKey + "@api.fastly.com",
		"https://" + canaryKey + "@api.fastly.com:port",
		canaryLogin + ":" + canaryKey + "@api.fastly.com",
		"https:" + canaryLogin + ":" + canaryKey + "@api.fastly.com",
		"//" + canaryKey + "@api.fastly.com",
		"https://api.fastly.com?key=" + canaryKey,
		"https://api.fastly.com#" + canaryKey,
		canaryKey,
	} {
		_, err := fastly.NewClient(fastly.WithAPIKey(someKey), fastly.WithBaseURL(rawURL))
		require.ErrorIs(t, err, fastly.ErrInvalidArgument)
		assertNoSecret(t, err)
	}
}

// newOldTLS starts a server that knows no TLS later than 1.1, and shows that it
// works with a client that takes it.
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

	config := trustIn(srv)
	config.MinVersion = tls.VersionTLS10
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, http.NoBody)
	require.NoError(t, err)
	resp, err := old.Do(req)
	require.NoError(t, err, "a client that allows TLS 1.1 has to be served")
	require.NoError(t, resp.Body.Close())
	require.EqualValues(t, 1, requests.Swap(0))
	return srv, requests
}

func TestServerWithOldTLSGetsNoRequest(t *testing.T) {
	t.Parallel()
	srv, requests := newOldTLS(t)
	for name, send := range map[string]func() error{
		"client": func() error { return createWith(t, srv.URL, fastly.WithAPIKey(canaryKey)) },
		"client with TLS settings": func() error {
			return createWith(t, srv.URL, fastly.WithAPIKey(canaryKey),
				fastly.WithHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trustIn(srv).RootCAs}}}))
		},
		"transport alone": func() error {
			return postWith(t, srv.URL, &fastly.APIKeyTransport{Key: canaryKey, Host: hostOf(t, srv.URL),
				Base: &http.Transport{TLSClientConfig: trustIn(srv)}})
		},
	} {
		err := send()
		require.ErrorContains(t, err, "version", name)
		assert.NotErrorIs(t, err, fastly.ErrOutcomeUnknown, name)
	}
	assert.Zero(t, requests.Load())
}

func TestTransportsBelowTLS12AreRefused(t *testing.T) {
	t.Parallel()
	srv, requests := newOldTLS(t)
	host := hostOf(t, srv.URL)
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		for name, config := range map[string]*tls.Config{
			"lowest":  {RootCAs: trustIn(srv).RootCAs, MinVersion: version},
			"highest": {RootCAs: trustIn(srv).RootCAs, MaxVersion: version},
		} {
			rt := &http.Transport{TLSClientConfig: config}
			_, err := fastly.NewClient(fastly.WithAPIKey(canaryKey), fastly.WithHTTPClient(&http.Client{Transport: rt}))
			assertRefused(t, err, tls.VersionName(version), "VersionTLS12")
			_, err = fastly.NewClient(fastly.WithTransport(rt))
			assertRefused(t, err, tls.VersionName(version), "VersionTLS12")
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

// sluice is an answer's body that counts what is read of it.
type sluice struct {
	r      io.Reader
	read   atomic.Int64
	closed atomic.Int32
}

func (s *sluice) Read(p []byte) (n int, err error) {
	n, err = s.r.Read(p)
	s.read.Add(int64(n))
	return n, err
}

func (s *sluice) Close() error {
	s.closed.Add(1)
	return nil
}

// endless repeats a text for ever, after a beginning.
func endless(begin, again string) io.Reader {
	return io.MultiReader(strings.NewReader(begin), &repeating{text: again})
}

type repeating struct {
	text string
	at   int
}

func (r *repeating) Read(p []byte) (n int, err error) {
	for n < len(p) {
		c := copy(p[n:], r.text[r.at:])
		n += c
		r.at = (r.at + c) % len(r.text)
	}
	return n, nil
}

func TestEndlessAnswersAreReadToABoundOnly(t *testing.T) {
	t.Parallel()
	const slack = 64<<10 + 1 // drained, so that a connection could be used again
	for name, answer := range map[string]struct {
		status int
		body   func() io.Reader
		bound  map[bool]int64 // whether a list is wanted
	}{
		"tokens":         {200, func() io.Reader { return endless("["+tokenAnswer, ","+tokenAnswer) }, map[bool]int64{true: 64 << 20, false: 1 << 20}},
		"one string":     {200, func() io.Reader { return endless(`{"id":"`, "x") }, map[bool]int64{true: 64 << 20, false: 1 << 20}},
		"spaces":         {200, func() io.Reader { return endless("", " ") }, map[bool]int64{true: 64 << 20, false: 1 << 20}},
		"after a token":  {200, func() io.Reader { return endless(tokenAnswer, " ") }, map[bool]int64{true: 64 << 20, false: 1 << 20}},
		"open brackets":  {200, func() io.Reader { return endless("", "[") }, map[bool]int64{true: 64 << 20, false: 1 << 20}},
		"an error":       {500, func() io.Reader { return endless(`{"msg":"`, "x") }, map[bool]int64{true: 64 << 10, false: 64 << 10}},
		"an HTML error":  {502, func() io.Reader { return endless("<html><title>", "x") }, map[bool]int64{true: 64 << 10, false: 64 << 10}},
		"a text refusal": {403, func() io.Reader { return endless("", "no ") }, map[bool]int64{true: 64 << 10, false: 64 << 10}},
	} {
		for _, m := range tokensMethods {
			if m.name == "ListTokensCustomer" && name != "tokens" {
				continue // 64 MiB take their time, and it reads what ListTokensUser does
			}
			t.Run(name+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				body := &sluice{r: answer.body()}
				c := mustClient(t, never, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: answer.status, Header: http.Header{}, Body: body, Request: r}, nil
				})))
				err := m.call(t.Context(), c)
				if m.verb != http.MethodDelete || answer.status != 200 {
					require.Error(t, err)
					assertFitToPrint(t, err)
				}
				if got := (*fastly.GenericTokenError)(nil); errors.As(err, &got) {
					assert.LessOrEqual(t, len(got.Body), 64<<10, "body kept")
				}
				bound := answer.bound[strings.HasPrefix(m.name, "List")] + slack
				assert.LessOrEqual(t, body.read.Load(), bound, "bytes read")
				assert.EqualValues(t, 1, body.closed.Load(), "times closed")
			})
		}
	}
}

func TestListOfJustUnderTheBoundIsRead(t *testing.T) {
	t.Parallel()
	for size, fits := range map[int64]bool{64 << 20: true, 64<<20 + 1: false} {
		end := "," + tokenAnswer + "]"
		begin := "[" + tokenAnswer
		body := io.MultiReader(strings.NewReader(begin),
			io.LimitReader(endless("", " "), size-int64(len(begin)+len(end))), strings.NewReader(end))
		c := mustClient(t, never, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(body), Request: r}, nil
		})))
		list, err := c.Tokens.ListTokensUser(t.Context())
		if fits {
			require.NoError(t, err)
			assert.Len(t, list, 2)
		} else {
			require.ErrorContains(t, err, "longer than 64 MiB")
			assert.Nil(t, list)
		}
	}
}

// TestCompressedBombIsReadToABoundOnly answers with 64 KiB or so that unpack to
// more than 64 MiB.
func TestCompressedBombIsReadToABoundOnly(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 500} {
		srv := newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(status)
			pack := gzip.NewWriter(w)
			_, err := io.CopyN(pack, endless(`{"msg":"`, "x"), 80<<20)
			if err == nil {
				// The client has left by now.
				_ = pack.Close()
			}
		})
		_, err := srv.client(t).Tokens.GetTokenCurrent(t.Context())
		require.Error(t, err)
		assertFitToPrint(t, err)
		if status == 200 {
			assert.ErrorContains(t, err, "longer than 1 MiB")
		}
	}
}

// TestSwitchedProtocolDoesNotHoldTheCall answers 101 to a request that asked
// for nothing of the kind, and then neither talks nor hangs up.
func TestSwitchedProtocolDoesNotHoldTheCall(t *testing.T) {
	t.Parallel()
	for _, m := range tokensMethods {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			left := make(chan struct{})
			srv := newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if !assert.NoError(t, err) {
					return
				}
				go func() {
					defer close(left)
					_, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
					assert.NoError(t, err)
					_, _ = io.Copy(io.Discard, conn) // until the client closes
					assert.NoError(t, conn.Close())
				}()
			})
			c := srv.client(t)
			done := make(chan error, 1)
			go func() { done <- m.call(t.Context(), c) }()
			select {
			case err := <-done:
				assert.Equal(t, http.StatusSwitchingProtocols, answerOf(t, err).StatusCode)
				assert.Equal(t, m.name == "CreateToken", errors.Is(err, fastly.ErrOutcomeUnknown))
			case <-time.After(10 * time.Second):
				require.Fail(t, "the call hangs")
			}
			select {
			case <-left:
			case <-time.After(10 * time.Second):
				require.Fail(t, "the connection was not closed")
			}
		})
	}
}

func TestEndlessHeadersAreAnError(t *testing.T) {
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
			assertFitToPrint(t, err)
		})
	}
}

// assertFitToPrint checks that an error can be shown in a terminal and a log:
// one line, printable, of bounded length.
func assertFitToPrint(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	assert.True(t, utf8.ValidString(text), "not UTF-8: %q", text)
	for _, r := range text {
		if !unicode.IsPrint(r) {
			assert.Fail(t, "not fit to print", "%q in %q", r, text)
			break
		}
	}
	assert.LessOrEqual(t, len(text), 2<<10, "length of the error's text")
}

func TestHostileErrorTextIsMadeHarmless(t *testing.T) {
	t.Parallel()
	attacks := map[string]string{
		"terminal":           "\x1b[31mred\x1b]0;title\x07\x9b2J",
		"forged line":        "no\nlevel=INFO msg=\"token revoked\"\r\n",
		"line separators":    "no\u2028next\u2029next\u0085next\v\f",
		"bidi":               "\u202egnp.exe\u2066\u2069\u200f",
		"invisible":          "\u200b\ufeff\u00ad\U000e0041",
		"null and backspace": "a\x00b\b\b\bc\x7f",
		"not UTF-8":          "\xff\xfe\xc0\xaf",
		"long":               strings.Repeat("spam ", 20000),
		"long and escaped":   strings.Repeat("\x1b", 20000),
	}
	for name, attack := range attacks {
		for _, form := range []string{"text", "msg", "detail", "code", "title", "errors", "html", "location"} {
			t.Run(name+" as "+form, func(t *testing.T) {
				t.Parallel()
				header, status := http.Header{}, 400
				body := attack
				switch form {
				case "msg", "detail", "code", "title":
					body = `{"` + form + `":` + jsonText(attack) + `}`
				case "errors":
					body = `{"errors":[{"title":` + jsonText(attack) + `,"detail":` + jsonText(attack) + `,"code":` + jsonText(attack) + `}]}`
				case "html":
					body = "<html><title>" + attack + "</title></html>"
				case "location":
					if strings.ContainsAny(attack, "\r\n\x00") || len(attack) > 10000 {
						return // no header can carry it
					}
					header.Set("Location", "https://"+url.PathEscape(attack)+".example/")
					status = 302
				}
				srv := newStub(t, status, header, body)
				_, err := srv.client(t).Tokens.GetTokenCurrent(t.Context())
				require.Error(t, err)
				assertFitToPrint(t, err)
			})
		}
	}
}

// jsonText is s as a JSON string that may hold anything but quotes and line
// breaks as they are.
func jsonText(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\u%04x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}
