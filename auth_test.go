package fastly_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

// closingBody notes that it was closed.
type closingBody struct {
	io.Reader
	closed int
}

func (b *closingBody) Close() error {
	b.closed++
	return nil
}

func newBody(text string) *closingBody { return &closingBody{Reader: strings.NewReader(text)} }

func newRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	require.NoError(t, err)
	return req
}

// transport is one of the two authenticating transports.
type transport struct {
	name   string
	make   func(host string, base http.RoundTripper) http.RoundTripper
	header string
	value  string
}

var transports = []transport{
	{"APIKeyTransport", func(host string, base http.RoundTripper) http.RoundTripper {
		return &fastly.APIKeyTransport{Key: someKey, Host: host, Base: base}
	}, "Fastly-Key", someKey},
	{"APIKeyTransport with KeyFunc", func(host string, base http.RoundTripper) http.RoundTripper {
		return &fastly.APIKeyTransport{
			Key:     "the function goes first",
			KeyFunc: func(context.Context) (fastly.Secret, error) { return someKey, nil },
			Host:    host, Base: base,
		}
	}, "Fastly-Key", someKey},
	{"BasicAuthTransport", func(host string, base http.RoundTripper) http.RoundTripper {
		// RFC 7617, section 2.
		return &fastly.BasicAuthTransport{Username: "Aladdin", Password: "open sesame", Host: host, Base: base}
	}, "Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
}

func TestTransportsWorkUnderAnyHTTPClient(t *testing.T) {
	t.Parallel()
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusTeapot, http.Header{"X-Answer": {"yes"}}, "short and stout")
			hc := &http.Client{Transport: tr.make(strings.TrimPrefix(srv.URL, "http://"), nil)}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, srv.URL+"/any/path?q=1", strings.NewReader("a body"))
			require.NoError(t, err)
			req.Header.Add("X-Own", "one")
			req.Header.Add("X-Own", "two")
			// Credentials that are already there must not go along.
			req.Header.Set(tr.header, "stale")
			before := req.Header.Clone()

			resp, err := hc.Do(req)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, http.StatusTeapot, resp.StatusCode)
			assert.Equal(t, "yes", resp.Header.Get("X-Answer"))
			assert.Equal(t, "short and stout", string(body))

			got := srv.only(t)
			assert.Equal(t, http.MethodPut, got.verb)
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
			body := newBody("a body")
			req.Body = body
			req.Header["X-Own"] = append(make([]string, 0, 8), "one")
			before := req.Header.Clone()
			var sent *http.Request
			resp, err := tr.make("", roundTripFunc(func(r *http.Request) (*http.Response, error) {
				sent = r
				r.Header.Add("X-Own", "two")
				r.Header.Set("X-More", "yes")
				return answering(http.StatusOK, "")(r)
			})).RoundTrip(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.NotSame(t, req, sent)
			assert.Equal(t, before, req.Header)
			assert.Equal(t, []string{"one", ""}, req.Header["X-Own"][:2], "nor what lies behind its values")
			assert.Equal(t, []string{tr.value}, sent.Header[tr.header])
			assert.Same(t, req.URL, sent.URL)
			assert.Equal(t, req.Context(), sent.Context())
			assert.Equal(t, 1, body.closed, "by the base")
		})
	}
}

func TestTransportsTakeARequestWithoutHeaders(t *testing.T) {
	t.Parallel()
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			req := newRequest(t, "https://api.fastly.com/tokens")
			req.Header = nil
			resp, err := tr.make("", answering(http.StatusOK, "")).RoundTrip(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Nil(t, req.Header)
			assert.Equal(t, http.Header{tr.header: {tr.value}}, resp.Request.Header)
		})
	}
}

func TestTransportsDefaultToTheProgramsTransport(t *testing.T) {
	// Not parallel: the default transport is the process's.
	was := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = was })
	for _, tr := range transports {
		var got []string
		http.DefaultTransport = roundTripFunc(func(r *http.Request) (*http.Response, error) {
			got = r.Header[tr.header]
			return answering(http.StatusOK, "")(r)
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
		{"", "https://api.fastly.com:8443/tokens", "request to api.fastly.com:8443 refused: the credentials are for api.fastly.com only"},
		{"", "https://example.com/tokens", "request to example.com refused: the credentials are for api.fastly.com only"},
		{"", "https://api.fastly.com.example.com/", "the credentials are for api.fastly.com only"},
		{"", "https://fastly.com/", "the credentials are for api.fastly.com only"},
		{"", "https://api.fastly.com@example.com/", "the credentials are for api.fastly.com only"},
		{"", "http://api.fastly.com/tokens", "request to api.fastly.com refused: over plain http anybody on the way could read the credentials"},
		{"", "http://127.0.0.1:80/tokens", "the credentials are for api.fastly.com only"},
		{"", "ftp://api.fastly.com/tokens", "request to api.fastly.com refused: its scheme is not https"},
		{"", "//api.fastly.com/tokens", "its scheme is not https"},
		{"", "/tokens", "its scheme is not https"},
		{"proxy.internal", "https://proxy.internal/tokens", ""},
		{"proxy.internal", "https://proxy.internal:443/tokens", ""},
		{"proxy.internal", "https://proxy.internal:444/tokens", "request to proxy.internal:444 refused: the credentials are for proxy.internal only"},
		{"proxy.internal", "https://api.fastly.com/tokens", "the credentials are for proxy.internal only"},
		{"Proxy.Internal:443", "https://proxy.internal/tokens", ""},
		{"proxy.internal:8443", "https://proxy.internal:8443/tokens", ""},
		{"proxy.internal:8443", "https://proxy.internal/tokens", "the credentials are for proxy.internal:8443 only"},
		{"localhost", "http://localhost/tokens", ""},
		{"localhost", "http://LOCALHOST:80/tokens", ""},
		{"localhost:443", "http://localhost/tokens", "the credentials are for localhost:443 only"},
		{"127.0.0.1:8080", "http://127.0.0.1:8080/tokens", ""},
		{"127.0.0.1:8080", "http://localhost:8080/tokens", "the credentials are for 127.0.0.1:8080 only"},
		{"[::1]:8080", "http://[::1]:8080/tokens", ""},
		{"[::1]", "http://[::1]:80/tokens", ""},
		{"192.0.2.7:8080", "http://192.0.2.7:8080/tokens", "over plain http anybody on the way could read the credentials"},
	}
	for _, tr := range transports {
		for _, test := range tests {
			t.Run(tr.name+" "+test.host+" "+test.url, func(t *testing.T) {
				t.Parallel()
				sent := 0
				base := roundTripFunc(func(r *http.Request) (*http.Response, error) {
					sent++
					return answering(http.StatusOK, "")(r)
				})
				req := newRequest(t, test.url)
				body := newBody("a body")
				req.Body = body
				resp, err := tr.make(test.host, base).RoundTrip(req)
				assert.Equal(t, 1, body.closed, "a RoundTripper closes the body")
				if test.says == "" {
					require.NoError(t, err)
					require.NoError(t, resp.Body.Close())
					assert.Equal(t, 1, sent)
					return
				}
				require.ErrorContains(t, err, test.says)
				assertOneLine(t, err)
				assert.NotContains(t, err.Error(), tr.value)
				assert.Nil(t, resp)
				assert.Zero(t, sent)
			})
		}
	}
}

func TestTransportsRefuseWhatTheyCannotSend(t *testing.T) {
	t.Parallel()
	errVault := errors.New("vault is sealed")
	keyFunc := func(key fastly.Secret, err error) func(context.Context) (fastly.Secret, error) {
		return func(context.Context) (fastly.Secret, error) { return key, err }
	}
	oldTLS := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS10}} //nolint:gosec // to be refused
	lowTLS := &http.Transport{TLSClientConfig: &tls.Config{MaxVersion: tls.VersionTLS11}} //nolint:gosec // to be refused
	tests := map[string]struct {
		transport http.RoundTripper
		is        error
		says      string
	}{
		"no key":                      {&fastly.APIKeyTransport{}, fastly.ErrInvalidArgument, "the API key is empty"},
		"bad key":                     {&fastly.APIKeyTransport{Key: "hunter22\n"}, fastly.ErrInvalidArgument, "the API key holds a character"},
		"no key from the function":    {&fastly.APIKeyTransport{Key: someKey, KeyFunc: keyFunc("", nil)}, fastly.ErrInvalidArgument, "the API key is empty"},
		"bad key from the function":   {&fastly.APIKeyTransport{KeyFunc: keyFunc("hunter22\x7f", nil)}, fastly.ErrInvalidArgument, "the API key holds a character"},
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
			body := newBody("a body")
			req.Body = body
			resp, err := test.transport.RoundTrip(req)
			assert.Nil(t, resp)
			require.ErrorIs(t, err, test.is)
			require.ErrorContains(t, err, test.says)
			assert.NotContains(t, err.Error(), "hunter22")
			assertOneLine(t, err)
			assert.Equal(t, 1, body.closed, "a RoundTripper closes the body even then")

			// Without a body there is nothing to close.
			resp, err = test.transport.RoundTrip(newRequest(t, "https://api.fastly.com/tokens"))
			assert.Nil(t, resp)
			require.ErrorIs(t, err, test.is)
		})
	}
}

func TestTransportsRefuseARequestWithoutURL(t *testing.T) {
	t.Parallel()
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			req := newRequest(t, "https://api.fastly.com/tokens")
			body := newBody("a body")
			req.URL, req.Body = nil, body
			resp, err := tr.make("", answering(http.StatusOK, "")).RoundTrip(req)
			assert.Nil(t, resp)
			require.EqualError(t, err, "fastly: the request has no URL")
			assert.Equal(t, 1, body.closed)
		})
	}
}

func TestTransportsHandOnTheErrorOfTheBase(t *testing.T) {
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
	var asked []any
	tr := &fastly.APIKeyTransport{
		KeyFunc: func(ctx context.Context) (fastly.Secret, error) {
			asked = append(asked, ctx.Value(contextKey{}))
			return keys[len(asked)-1], nil
		},
		Base: answering(http.StatusOK, ""),
	}
	for i, key := range keys {
		req := newRequest(t, "https://api.fastly.com/tokens")
		resp, err := tr.RoundTrip(req.WithContext(context.WithValue(t.Context(), contextKey{}, i)))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, []string{key.Reveal()}, resp.Request.Header["Fastly-Key"])
	}
	assert.Equal(t, []any{0, 1, 2}, asked)
}

func TestKeyFuncIsNotAskedForARequestThatIsRefused(t *testing.T) {
	t.Parallel()
	asked := false
	tr := &fastly.APIKeyTransport{KeyFunc: func(context.Context) (fastly.Secret, error) {
		asked = true
		return someKey, nil
	}}
	resp, err := tr.RoundTrip(newRequest(t, "https://example.com/"))
	require.Error(t, err)
	assert.Nil(t, resp)
	assert.False(t, asked)
}

func TestRefusalsOfATransportAreFoundThroughTheHTTPClient(t *testing.T) {
	t.Parallel()
	hc := &http.Client{Transport: &fastly.APIKeyTransport{}}
	resp, err := hc.Do(newRequest(t, "https://api.fastly.com/tokens"))
	require.ErrorIs(t, err, fastly.ErrInvalidArgument)
	assert.Nil(t, resp)
}

func TestTransportsLetAPIRequestsThrough(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	for name, test := range map[string]struct {
		transport http.RoundTripper
		method    string
	}{
		"key":   {&fastly.APIKeyTransport{Key: srv.Key(), Host: strings.TrimPrefix(srv.URL, "http://")}, http.MethodGet},
		"Basic": {&fastly.BasicAuthTransport{Username: srv.User().Login, Password: fastly.Secret(srv.User().Password), Host: strings.TrimPrefix(srv.URL, "http://")}, http.MethodPost},
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
