package fastly_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func newRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
	require.NoError(t, err)
	return req
}

// transport is one of the two authenticating transports.
type transport struct {
	name   string
	make   func(host string, base http.RoundTripper) http.RoundTripper
	header string // that it sets
	value  string
}

var transports = []transport{
	{"APIKeyTransport", func(host string, base http.RoundTripper) http.RoundTripper {
		return &fastly.APIKeyTransport{Key: canaryKey, Host: host, Base: base}
	}, "Fastly-Key", canaryKey},
	{"APIKeyTransport with KeyFunc", func(host string, base http.RoundTripper) http.RoundTripper {
		return &fastly.APIKeyTransport{
			Key:     "not used beside KeyFunc",
			KeyFunc: func(context.Context) (fastly.Secret, error) { return canaryKey, nil },
			Host:    host, Base: base,
		}
	}, "Fastly-Key", canaryKey},
	{"BasicAuthTransport", func(host string, base http.RoundTripper) http.RoundTripper {
		return &fastly.BasicAuthTransport{Username: canaryLogin, Password: canaryPassword, Host: host, Base: base}
	}, "Authorization", "Basic " + canaries["basic"]},
}

func TestBasicAuthTransportSendsTheExampleOfRFC7617(t *testing.T) {
	t.Parallel()
	tr := &fastly.BasicAuthTransport{Username: "Aladdin", Password: "open sesame", Base: respond(http.StatusOK, "")}
	resp, err := tr.RoundTrip(newRequest(t, "https://api.fastly.com/tokens"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, []string{"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}, resp.Request.Header["Authorization"])
}

func TestTransportsWorkUnderAnyHTTPClient(t *testing.T) {
	t.Parallel()
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusTeapot, http.Header{"X-Response": {"yes"}}, "short and stout")
			hc := &http.Client{Transport: tr.make(hostOf(t, srv.URL), nil)}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, srv.URL+"/any/path?q=1", strings.NewReader("a body"))
			require.NoError(t, err)
			req.Header.Add("X-Own", "one")
			req.Header.Add("X-Own", "two")
			// It replaces credentials that are already there.
			req.Header.Set(tr.header, "stale")
			before := req.Header.Clone()

			resp, err := hc.Do(req)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, http.StatusTeapot, resp.StatusCode)
			assert.Equal(t, "yes", resp.Header.Get("X-Response"))
			assert.Equal(t, "short and stout", string(body))

			got := srv.request(t)
			assert.Equal(t, http.MethodPut, got.method)
			assert.Equal(t, "/any/path?q=1", got.uri)
			assert.Equal(t, "a body", got.body)
			assert.Equal(t, []string{"one", "two"}, got.header["X-Own"])
			assert.Equal(t, []string{tr.value}, got.header[tr.header])
			assert.Equal(t, before, req.Header, "the request is the caller's")
		})
	}
}

func TestTransportsSendACopyOfTheRequest(t *testing.T) {
	t.Parallel()
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			req := newRequest(t, "https://api.fastly.com/tokens")
			body := &trackedBody{Reader: strings.NewReader("a body")}
			req.Body = body
			req.Header["X-Own"] = append(make([]string, 0, 8), "one")
			before := req.Header.Clone()
			var sent *http.Request
			resp, err := tr.make("", roundTripFunc(func(r *http.Request) (*http.Response, error) {
				sent = r
				r.Header.Add("X-Own", "two")
				r.Header.Set("X-More", "yes")
				return respond(http.StatusOK, "")(r)
			})).RoundTrip(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.NotSame(t, req, sent)
			assert.Equal(t, before, req.Header)
			assert.Equal(t, []string{"one", ""}, req.Header["X-Own"][:2], "nor the array behind its values")
			assert.Equal(t, []string{tr.value}, sent.Header[tr.header])
			assert.Same(t, req.URL, sent.URL)
			assert.Equal(t, req.Context(), sent.Context())
			assert.Same(t, sent, resp.Request)
			assert.EqualValues(t, 1, body.closed.Load(), "by the base")
		})
	}
}

func TestTransportsAcceptARequestWithoutHeader(t *testing.T) {
	t.Parallel()
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			req := newRequest(t, "https://api.fastly.com/tokens")
			req.Header = nil
			resp, err := tr.make("", respond(http.StatusOK, "")).RoundTrip(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Nil(t, req.Header)
			assert.Equal(t, http.Header{tr.header: {tr.value}}, resp.Request.Header)
		})
	}
}

func TestTransportsDefaultToTheDefaultTransport(t *testing.T) {
	// Not parallel: the default transport is the process's.
	was := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = was })
	for _, tr := range transports {
		var got []string
		http.DefaultTransport = roundTripFunc(func(r *http.Request) (*http.Response, error) {
			got = r.Header[tr.header]
			return respond(http.StatusOK, "")(r)
		})
		resp, err := tr.make("", nil).RoundTrip(newRequest(t, "https://api.fastly.com/tokens"))
		require.NoError(t, err, tr.name)
		require.NoError(t, resp.Body.Close(), tr.name)
		assert.Equal(t, []string{tr.value}, got, tr.name)
	}
}

func TestTransportsSendCredentialsToOneHostOnly(t *testing.T) {
	t.Parallel()
	tests := []struct {
		host, url string
		says      string // empty: it is sent
	}{
		{"", "https://api.fastly.com/tokens", ""},
		{"", "https://api.fastly.com:443/tokens", ""},
		{"", "https://API.Fastly.com/tokens", ""},
		{"", "HTTPS://api.fastly.com/tokens", ""},
		{"", "https://api.fastly.com:8443/tokens", "request to api.fastly.com:8443 rejected: the credentials are for api.fastly.com only"},
		{"", "https://example.com/tokens", "request to example.com rejected: the credentials are for api.fastly.com only"},
		{"", "https://api.fastly.com.example.com/", "the credentials are for api.fastly.com only"},
		{"", "https://api.fastly.com./", "the credentials are for api.fastly.com only"},
		{"", "https://fastly.com/", "the credentials are for api.fastly.com only"},
		{"", "https:///tokens", "the credentials are for api.fastly.com only"},
		{"", "https://api.fastly.com@example.com/", "the credentials are for api.fastly.com only"},
		{"", "http://api.fastly.com/tokens", "request to api.fastly.com rejected: plain http would show the credentials to anyone on the network path"},
		{"", "http://127.0.0.1:80/tokens", "the credentials are for api.fastly.com only"},
		{"", "ftp://api.fastly.com/tokens", "request to api.fastly.com rejected: its scheme is not https"},
		{"", "//api.fastly.com/tokens", "its scheme is not https"},
		{"", "/tokens", "its scheme is not https"},
		{"proxy.internal", "https://proxy.internal/tokens", ""},
		{"proxy.internal", "https://proxy.internal:443/tokens", ""},
		{"proxy.internal1:10", "https://proxy.internal:110/tokens", "request to proxy.internal:110 rejected: the credentials are for proxy.internal1:10 only"},
		{"proxy.internal", "https://proxy.internal:444/tokens", "request to proxy.internal:444 rejected: the credentials are for proxy.internal only"},
		{"proxy.internal", "https://api.fastly.com/tokens", "the credentials are for proxy.internal only"},
		{"Proxy.Internal:443", "https://proxy.internal/tokens", ""},
		{"proxy.internal:8443", "https://proxy.internal:8443/tokens", ""},
		{"proxy.internal:8443", "https://proxy.internal/tokens", "the credentials are for proxy.internal:8443 only"},
		{"localhost", "http://localhost/tokens", ""},
		{"localhost", "http://LOCALHOST:80/tokens", ""},
		{"localhost:443", "http://localhost/tokens", "the credentials are for localhost:443 only"},
		{"127.0.0.1:8080", "http://127.0.0.1:8080/tokens", ""},
		{"127.0.0.1:8080", "http://127.0.0.1:8081/", "the credentials are for 127.0.0.1:8080 only"},
		{"127.0.0.1:8080", "http://127.0.0.1/", "the credentials are for 127.0.0.1:8080 only"},
		{"127.0.0.1:8080", "http://[::1]:8080/", "the credentials are for 127.0.0.1:8080 only"},
		{"127.0.0.1:8080", "http://localhost:8080/tokens", "the credentials are for 127.0.0.1:8080 only"},
		{"[::1]:8080", "http://[::1]:8080/tokens", ""},
		{"[::1]:8080", "https://[::1]:8080/", ""},
		{"[::1]:8080", "http://[::1]:80/", "the credentials are for [::1]:8080 only"},
		{"[::1]:8080", "http://[::2]:8080/", "plain http"},
		{"[::1]", "http://[::1]:80/tokens", ""},
		{"192.0.2.7", "https://192.0.2.7/", ""},
		{"192.0.2.7", "http://192.0.2.7/", "plain http"},
		{"192.0.2.7", "http://192.0.2.7:443/", "plain http"},
		{"192.0.2.7:8080", "http://192.0.2.7:8080/tokens", "plain http would show the credentials to anyone on the network path"},
	}
	for _, tr := range transports {
		for _, test := range tests {
			t.Run(tr.name+" "+test.host+" "+test.url, func(t *testing.T) {
				t.Parallel()
				sent := 0
				base := roundTripFunc(func(r *http.Request) (*http.Response, error) {
					sent++
					return respond(http.StatusOK, "")(r)
				})
				req := newRequest(t, test.url)
				body := &trackedBody{Reader: strings.NewReader("a body")}
				req.Body = body
				resp, err := tr.make(test.host, base).RoundTrip(req)
				assert.EqualValues(t, 1, body.closed.Load(), "a RoundTripper closes the body")
				if test.says == "" {
					require.NoError(t, err)
					require.NoError(t, resp.Body.Close())
					assert.Equal(t, 1, sent)
					return
				}
				require.ErrorContains(t, err, test.says)
				require.ErrorContains(t, err, req.URL.Host)
				assertOneLine(t, err)
				assertNoSecret(t, err)
				assert.Nil(t, resp)
				assert.Zero(t, sent)
			})
		}
	}
}

func TestTransportsRejectWhatTheyCannotSend(t *testing.T) {
	t.Parallel()
	errVault := errors.New("vault is sealed")
	keyFunc := func(key fastly.Secret, err error) func(context.Context) (fastly.Secret, error) {
		return func(context.Context) (fastly.Secret, error) { return key, err }
	}
	oldTLS := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS10}} //nolint:gosec // to be rejected
	lowTLS := &http.Transport{TLSClientConfig: &tls.Config{MaxVersion: tls.VersionTLS11}} //nolint:gosec // to be rejected
	tests := map[string]struct {
		transport http.RoundTripper
		is        error
		says      string
	}{
		"no key":                      {&fastly.APIKeyTransport{}, fastly.ErrInvalidArgument, "the API key is empty"},
		"bad key":                     {&fastly.APIKeyTransport{Key: "hunter22\n"}, fastly.ErrInvalidArgument, "the API key holds a control character (a line break at its end?)"},
		"no key from the function":    {&fastly.APIKeyTransport{Key: someKey, KeyFunc: keyFunc("", nil)}, fastly.ErrInvalidArgument, "the API key is empty"},
		"bad key from the function":   {&fastly.APIKeyTransport{KeyFunc: keyFunc("hunter22\x7f", nil)}, fastly.ErrInvalidArgument, "the API key holds a control character"},
		"error of the function":       {&fastly.APIKeyTransport{Key: someKey, KeyFunc: keyFunc("hunter22", errVault)}, errVault, "the key function failed: vault is sealed"},
		"old TLS under a key":         {&fastly.APIKeyTransport{Key: "hunter22", Base: oldTLS}, fastly.ErrInvalidArgument, "set TLSClientConfig.MinVersion"},
		"low TLS under a key":         {&fastly.APIKeyTransport{Key: "hunter22", Base: lowTLS}, fastly.ErrInvalidArgument, "set TLSClientConfig.MaxVersion"},
		"no user name":                {&fastly.BasicAuthTransport{Password: "hunter22"}, fastly.ErrInvalidArgument, "the user name is empty"},
		"no password":                 {&fastly.BasicAuthTransport{Username: "jane"}, fastly.ErrInvalidArgument, "the password is empty"},
		"colon in the user name":      {&fastly.BasicAuthTransport{Username: "jane:doe", Password: "hunter22"}, fastly.ErrInvalidArgument, "colon"},
		"line break in the user name": {&fastly.BasicAuthTransport{Username: "jane\n", Password: "hunter22"}, fastly.ErrInvalidArgument, "the user name holds a control character"},
		"line break in the password":  {&fastly.BasicAuthTransport{Username: "jane", Password: "hunter22\n"}, fastly.ErrInvalidArgument, "the password holds a control character"},
		"old TLS under a password":    {&fastly.BasicAuthTransport{Username: "jane", Password: "hunter22", Base: oldTLS}, fastly.ErrInvalidArgument, "set TLSClientConfig.MinVersion"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := newRequest(t, "https://api.fastly.com/tokens")
			body := &trackedBody{Reader: strings.NewReader("a body")}
			req.Body = body
			resp, err := test.transport.RoundTrip(req)
			assert.Nil(t, resp)
			require.ErrorIs(t, err, test.is)
			require.ErrorContains(t, err, test.says)
			assert.NotContains(t, err.Error(), "hunter22")
			assertOneLine(t, err)
			assert.EqualValues(t, 1, body.closed.Load(), "a RoundTripper closes the body even then")

			// Without a body there is nothing to close.
			resp, err = test.transport.RoundTrip(newRequest(t, "https://api.fastly.com/tokens"))
			assert.Nil(t, resp)
			require.ErrorIs(t, err, test.is)
		})
	}
}

func TestTransportsRejectARequestWithoutURL(t *testing.T) {
	t.Parallel()
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			req := newRequest(t, "https://api.fastly.com/tokens")
			body := &trackedBody{Reader: strings.NewReader("a body")}
			req.URL, req.Body = nil, body
			resp, err := tr.make("", respond(http.StatusOK, "")).RoundTrip(req)
			assert.Nil(t, resp)
			require.EqualError(t, err, "fastly: the request has no URL")
			assert.EqualValues(t, 1, body.closed.Load())
		})
	}
}

func TestTransportsReturnTheErrorOfTheBase(t *testing.T) {
	t.Parallel()
	errBase := errors.New("the base gave up")
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			resp, err := tr.make("", roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, errBase })).
				RoundTrip(newRequest(t, "https://api.fastly.com/tokens"))
			assert.Nil(t, resp)
			require.ErrorIs(t, err, errBase)
			assert.EqualError(t, err, "the base gave up")
		})
	}
}

func TestKeyFuncIsCalledForEachRequestWithItsContext(t *testing.T) {
	t.Parallel()
	type contextKey struct{}
	keys := []fastly.Secret{"first", "second", "third"}
	var values []any
	tr := &fastly.APIKeyTransport{
		KeyFunc: func(ctx context.Context) (fastly.Secret, error) {
			values = append(values, ctx.Value(contextKey{}))
			return keys[len(values)-1], nil
		},
		Base: respond(http.StatusOK, ""),
	}
	for i, key := range keys {
		req := newRequest(t, "https://api.fastly.com/tokens")
		resp, err := tr.RoundTrip(req.WithContext(context.WithValue(t.Context(), contextKey{}, i)))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, []string{key.Reveal()}, resp.Request.Header["Fastly-Key"])
	}
	assert.Equal(t, []any{0, 1, 2}, values)
}

func TestKeyFuncIsNotCalledForARejectedRequest(t *testing.T) {
	t.Parallel()
	called := false
	tr := &fastly.APIKeyTransport{KeyFunc: func(context.Context) (fastly.Secret, error) {
		called = true
		return someKey, nil
	}}
	resp, err := tr.RoundTrip(newRequest(t, "https://example.com/"))
	require.Error(t, err)
	assert.Nil(t, resp)
	assert.False(t, called)
}

func TestTransportErrorsMatchThroughTheHTTPClient(t *testing.T) {
	t.Parallel()
	hc := &http.Client{Transport: &fastly.APIKeyTransport{}}
	resp, err := hc.Do(newRequest(t, "https://api.fastly.com/tokens"))
	require.ErrorIs(t, err, fastly.ErrInvalidArgument)
	assert.Nil(t, resp)
}

func TestTransportsAuthenticateAtTheAPI(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	for name, test := range map[string]struct {
		transport http.RoundTripper
		method    string
	}{
		"key":   {&fastly.APIKeyTransport{Key: srv.Key(), Host: hostOf(t, srv.URL)}, http.MethodGet},
		"Basic": {&fastly.BasicAuthTransport{Username: srv.User().Login, Password: fastly.Secret(srv.User().Password), Host: hostOf(t, srv.URL)}, http.MethodPost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), test.method, srv.URL+"/tokens", nil)
			require.NoError(t, err)
			resp, err := (&http.Client{Transport: test.transport}).Do(req)
			require.NoError(t, err)
			defer func() { require.NoError(t, resp.Body.Close()) }()
			assert.Equal(t, http.StatusOK, resp.StatusCode)
		})
	}
}

// Most of this is checked by the race detector.
func TestTransportsServeManyGoroutines(t *testing.T) {
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
	for _, a := range srv.requests() {
		assert.Len(t, a.header.Values("Fastly-Key"), 1-len(a.header.Values("Authorization")))
	}
}

// sender sends a create, and with it every kind of credential there is, to a
// base URL.
type sender struct {
	name     string
	isClient bool // which follows no redirect at all
	send     func(t *testing.T, base string, tlsConfig *tls.Config) error
}

var senders = slices.Concat([]sender{
	clientSender("client with a key", canaryRequest, fastly.WithAPIKey(canaryKey)),
	clientSender("client with a key function", canaryRequest,
		fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return canaryKey, nil })),
	clientSender("client with a password", canaryRequest, fastly.WithBasicAuth(canaryLogin, canaryPassword)),
	clientSender("client with a key and a login", canaryLoginRequest, fastly.WithAPIKey(canaryKey)),
	clientSender("client with a login alone", canaryLoginRequest, fastly.WithoutAuthentication()),
	{"client over the caller's transport", true, func(t *testing.T, base string, config *tls.Config) error {
		return createWith(t, base, canaryRequest(), fastly.WithTransport(&fastly.APIKeyTransport{
			Key: canaryKey, Host: hostOf(t, base), Base: &http.Transport{TLSClientConfig: config},
		}))
	}},
}, transportSenders())

func clientSender(name string, req func() *fastly.CreateTokenRequest, auth fastly.Option) sender {
	return sender{name, true, func(t *testing.T, base string, config *tls.Config) error {
		t.Helper()
		return createWith(t, base, req(), auth, fastly.WithHTTPClient(followAll(&http.Transport{TLSClientConfig: config})))
	}}
}

func transportSenders() (list []sender) {
	for _, tr := range transports {
		list = append(list, sender{tr.name, false, func(t *testing.T, base string, config *tls.Config) error {
			t.Helper()
			below := &http.Transport{TLSClientConfig: config}
			t.Cleanup(below.CloseIdleConnections)
			return postWith(t, base, tr.make(hostOf(t, base), below))
		}})
	}
	return list
}

func TestRedirectsGetNoCredentials(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, from := range senders {
			for _, target := range []string{"another port", "another host", "https to http", "https to https elsewhere"} {
				t.Run(fmt.Sprintf("%d/%s/%s", status, from.name, target), func(t *testing.T) {
					t.Parallel()
					startHome, startAway := httptest.NewServer, httptest.NewServer
					switch target {
					case "https to http":
						startHome = newQuietTLS
					case "https to https elsewhere":
						startHome, startAway = newQuietTLS, newQuietTLS
					}
					awayServer := newTrap(t, startAway)
					away, awayConfig := awayServer.URL, trust(awayServer.Server)
					if target == "another host" {
						away = strings.Replace(away, "127.0.0.1", "localhost", 1)
					}
					var calls atomic.Int32
					home := startHome(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						calls.Add(1)
						http.Redirect(w, r, away+trapPath, status)
					}))
					t.Cleanup(home.Close)
					config := trust(home)
					if target == "https to https elsewhere" {
						// All test servers have one certificate: the client would trust
						// the other one.
						config = awayConfig
					}

					err := from.send(t, home.URL, config)
					awayServer.assertEmpty(t)
					assert.EqualValues(t, 1, calls.Load(), "requests to the API")
					require.ErrorContains(t, err, hostOf(t, away), "the error names the host")
					assertNoSecret(t, err)
				})
			}
		}
	}
}

// The other name may be somebody else's at any time.
func TestRedirectToAnotherNameOfTheServerIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, from := range senders {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			home := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
				away := strings.Replace(r.Host, "127.0.0.1", "localhost", 1)
				http.Redirect(w, r, "http://"+away+"/tokens", http.StatusTemporaryRedirect)
			})
			err := from.send(t, home.URL, nil)
			home.request(t)
			require.ErrorContains(t, err, "localhost:")
			assertNoSecret(t, err)
		})
	}
}

func TestClientFollowsNoRedirectToItsOwnOrigin(t *testing.T) {
	t.Parallel()
	for _, from := range senders {
		if !from.isClient {
			continue
		}
		home := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		})
		err := from.send(t, home.URL, nil)
		home.request(t)
		assert.Equal(t, http.StatusTemporaryRedirect, responseError(t, err).StatusCode, from.name)
		assert.ErrorContains(t, err, "redirect to "+hostOf(t, home.URL)+" not followed; the API does not redirect, so nothing was sent there: check the base URL", from.name)
	}
}

func TestRedirectOfEachOperationIsAnErrorThatNamesTheHost(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, op := range operations {
			srv := newAPI(t)
			c := srv.Client()
			waits := skipWaits(c)
			srv.Inject(fastlytest.Fault{Kind: fastlytest.Redirect, Status: status, Location: "https://evil.example/tokens"})
			err := op.do(t.Context(), c)
			assert.Equal(t, status, responseError(t, err).StatusCode)
			assert.ErrorContains(t, err, "redirect to evil.example not followed; the API does not redirect, so nothing was sent there: check the base URL")
			assert.Len(t, srv.Requests(), 1)
			assert.Empty(t, waits.all())
		}
	}
}

func TestOddLocationsAreHarmless(t *testing.T) {
	t.Parallel()
	for _, location := range []string{
		"", ":", "//", "%zz", "http://[::1", "http://[" + canaryKey + "/", "javascript:alert(1)", "http://\x1b[31m.example/",
		"https://" + canaryKey + "@evil.example/", "https://" + canaryKey + ".evil.example/", "http://a b/", strings.Repeat("x", 1<<16),
	} {
		for _, from := range senders {
			withoutKey := strings.Contains(from.name, "password") || strings.Contains(from.name, "login")
			if !from.isClient || withoutKey && strings.Contains(location, canaryKey) {
				continue // the key is no secret of a request without it
			}
			home := newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Location"] = []string{location}
				w.WriteHeader(http.StatusFound)
			})
			err := from.send(t, home.URL, nil)
			require.Error(t, err, "%q", location)
			home.request(t)
			assertNoSecret(t, err)
			assertOneLine(t, err)
		}
	}
}

// bothSchemes accepts TLS and plain HTTP on one port, as an attacker on the
// network can.
type bothSchemes struct {
	net.Listener
	config *tls.Config
	conns  chan net.Conn
}

func (b *bothSchemes) Accept() (net.Conn, error) {
	if conn, ok := <-b.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (b *bothSchemes) run() {
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

// Nothing but the scheme changes.
func TestRedirectFromTLSToPlainHTTPOnTheSamePortIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, from := range senders {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			lender := httptest.NewTLSServer(http.NotFoundHandler())
			defer lender.Close()
			listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			both := &bothSchemes{
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

			err = from.send(t, "https://"+listener.Addr().String(), trust(lender))
			assert.Zero(t, plain.Load(), "requests by plain http")
			assert.EqualValues(t, 1, secure.Load(), "requests by https")
			require.ErrorContains(t, err, listener.Addr().String())
			if !from.isClient {
				require.ErrorContains(t, err, "rejected: it is a redirect from https to plain http")
			}
			assertNoSecret(t, err)
		})
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
	t.Cleanup(tr.CloseIdleConnections)
	for _, auth := range []fastly.Option{fastly.WithAPIKey(canaryKey), fastly.WithBasicAuth(canaryLogin, canaryPassword)} {
		err := createWith(t, "http://fastly-proxy.internal.example:8080", canaryRequest(), auth,
			fastly.WithInsecurePlainHTTP(), fastly.WithHTTPClient(&http.Client{Transport: tr}))
		require.ErrorContains(t, err, "redirect to evil.example:8080 not followed")
		assertNoSecret(t, err)
	}
	assert.Len(t, home.requests(), 2)
}

// Most are a real credential with a line break at its end.
func TestCredentialsThatNoHeaderCanCarryAreNeitherSentNorShown(t *testing.T) {
	t.Parallel()
	home := newStub(t, http.StatusOK, nil, createdJSON)
	var malformed []string
	for _, bad := range []string{"\n", "\r\n", "\r", "\x00", "\x7f", "\x1b[2J"} {
		malformed = append(malformed, canaryKey+bad, bad+canaryKey, canaryKey+bad+"Injected: header")
	}
	for _, value := range malformed {
		host := hostOf(t, home.URL)
		for name, try := range map[string]func() error{
			"WithAPIKey":    func() error { _, err := fastly.NewClient(fastly.WithAPIKey(value)); return err },
			"WithBasicAuth": func() error { _, err := fastly.NewClient(fastly.WithBasicAuth("u", value)); return err },
			"user name":     func() error { _, err := fastly.NewClient(fastly.WithBasicAuth(value, "p")); return err },
			"WithAPIKeyFunc": func() error {
				return createWith(t, home.URL, canaryRequest(), fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return fastly.Secret(value), nil }))
			},
			"APIKeyTransport": func() error {
				return postWith(t, home.URL, &fastly.APIKeyTransport{Key: fastly.Secret(value), Host: host})
			},
			"BasicAuthTransport": func() error {
				return postWith(t, home.URL, &fastly.BasicAuthTransport{Username: "u", Password: fastly.Secret(value), Host: host})
			},
			"login": func() error {
				return createWith(t, home.URL, &fastly.CreateTokenRequest{Username: canaryLogin, Password: fastly.Secret(value)}, fastly.WithoutAuthentication())
			},
			"OTP": func() error {
				_, err := home.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{OTP: fastly.Secret(value)})
				return err
			},
		} {
			err := try()
			require.ErrorIs(t, err, fastly.ErrInvalidArgument, name)
			assertNoSecret(t, err)
			assertOneLine(t, err)
		}
	}
	for _, value := range []string{canaryKey + " ", " " + canaryKey, canaryKey + "é", canaryKey + "\u202e"} {
		_, err := fastly.NewClient(fastly.WithAPIKey(value))
		require.ErrorIs(t, err, fastly.ErrInvalidArgument)
		assertNoSecret(t, err)
	}
	assert.Empty(t, home.requests(), "none of it is sent")
}

// The client watches what is sent, and must not mistake the request for the key for its own.
func TestKeyOfATransportMayComeOverHTTP2(t *testing.T) {
	t.Parallel()
	vault := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, someKey)
	}))
	vault.EnableHTTP2 = true
	vault.StartTLS()
	t.Cleanup(vault.Close)
	key := func(ctx context.Context) (fastly.Secret, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, vault.URL, http.NoBody)
		if err != nil {
			return "", err
		}
		resp, err := vault.Client().Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		return fastly.Secret(text), err
	}
	base := new(http.Transport)
	for _, op := range operations {
		srv := newStub(t, op.status, nil, op.body)
		c := mustClient(t, noRetry, fastly.WithBaseURL(srv.URL),
			fastly.WithTransport(&fastly.APIKeyTransport{KeyFunc: key, Host: hostOf(t, srv.URL), Base: base}))
		require.NoError(t, op.do(t.Context(), c), op.name)
		assert.Equal(t, []string{someKey}, srv.request(t).header["Fastly-Key"])
	}
}

// createWith creates a token by a Client.
func createWith(t *testing.T, base string, req *fastly.CreateTokenRequest, opts ...fastly.Option) error {
	t.Helper()
	c := mustClient(t, append([]fastly.Option{fastly.WithBaseURL(base)}, opts...)...)
	skipWaits(c)
	_, err := c.Tokens.CreateToken(t.Context(), req)
	return err
}

// postWith posts a login by an http.Client over a transport. That client is
// willing to follow each redirect.
func postWith(t *testing.T, base string, rt http.RoundTripper) error {
	t.Helper()
	form := url.Values{"username": {canaryLogin}, "password": {canaryPassword}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/tokens", strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Fastly-OTP", canaryOTP)
	resp, err := followAll(rt).Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func followAll(rt http.RoundTripper) *http.Client {
	return &http.Client{Transport: rt, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) > 3 {
			return errors.New("a loop of redirects")
		}
		return nil
	}}
}

// trap is a server that must get no request.
type trap struct {
	*httptest.Server
	mu     sync.Mutex
	visits []string
}

func newTrap(t testing.TB, start func(http.Handler) *httptest.Server) *trap {
	t.Helper()
	tr := new(trap)
	tr.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		if r.URL.Path == trapPath {
			tr.visits = append(tr.visits, fmt.Sprintf("%s %s%s by %s: %v", r.Method, r.Host, r.RequestURI, r.RemoteAddr, r.Header))
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(tr.Close)
	return tr
}

// trapPath is where redirects lead. Other requests are for another server, which
// had the port before.
const trapPath = "/trap"

func (tr *trap) assertEmpty(t testing.TB) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	assert.Empty(t, tr.visits, "requests that followed a redirect")
}
