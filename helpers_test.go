package fastly_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
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
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Well-formed values that no server knows.
const (
	someKey      = "Jd8sKf02mPq-47xLwZ_nB5vTcYh1RgAe"
	someID       = "5Yo3XXyOUcQ7Vb1nKd92Ls"
	otherID      = "2Lm8ZzTgEwR4Hj6pWx31Qa"
	someService  = "SU1Z0isxPaozGVKXdv0eY"
	otherService = "7i6HN3TK9wS159v2gPAZ8A"
	someCustomer = "1aBcD3eFgH5iJkL7mNoP9q"
	someName     = "deploy" // of created tokens

	tokenJSON   = `{"id":"` + someID + `","name":"deploy","scope":"global"}`
	createdJSON = `{"id":"` + someID + `","name":"deploy","access_token":"` + someKey + `"}`
)

// operation is one of the eight methods of TokensService.
type operation struct {
	name   string
	kind   fastly.Kind
	method string
	path   string // for someID
	status int    // of success
	body   string // of success
	// call performs the operation. A get or revoke by ID is of tokenID.
	call func(ctx context.Context, c *fastly.Client, tokenID string) error
}

// do performs the operation with someID.
func (op operation) do(ctx context.Context, c *fastly.Client) error { return op.call(ctx, c, someID) }

var (
	bulkRevokeTokens = operation{
		"BulkRevokeTokens", fastly.KindRevokeBulk, "DELETE", "/tokens", 204, "",
		func(ctx context.Context, c *fastly.Client, tokenID string) error {
			return c.Tokens.BulkRevokeTokens(ctx, []string{tokenID})
		},
	}
	createToken = operation{
		"CreateToken", fastly.KindCreate, "POST", "/tokens", 200, createdJSON,
		func(ctx context.Context, c *fastly.Client, _ string) error {
			created, err := c.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{Name: someName})
			if err == nil && created.AccessToken == "" {
				err = errors.New("there is no access token")
			}
			return err
		},
	}
	getToken = operation{
		"GetToken", fastly.KindRead, "GET", "/tokens/" + someID, 200, tokenJSON,
		func(ctx context.Context, c *fastly.Client, tokenID string) error {
			_, err := c.Tokens.GetToken(ctx, tokenID)
			return err
		},
	}
	getTokenCurrent = operation{
		"GetTokenCurrent", fastly.KindRead, "GET", "/tokens/self", 200, tokenJSON,
		func(ctx context.Context, c *fastly.Client, _ string) error {
			_, err := c.Tokens.GetTokenCurrent(ctx)
			return err
		},
	}
	listTokensCustomer = operation{
		"ListTokensCustomer", fastly.KindRead, "GET", "/customer/" + someCustomer + "/tokens", 200, "[" + tokenJSON + "]",
		func(ctx context.Context, c *fastly.Client, _ string) error {
			list, err := c.Tokens.ListTokensCustomer(ctx, someCustomer)
			if err == nil && len(list) == 0 {
				err = errors.New("the list is empty")
			}
			return err
		},
	}
	listTokensUser = operation{
		"ListTokensUser", fastly.KindRead, "GET", "/tokens", 200, "[" + tokenJSON + "]",
		func(ctx context.Context, c *fastly.Client, _ string) error {
			_, err := c.Tokens.ListTokensUser(ctx)
			return err
		},
	}
	revokeToken = operation{
		"RevokeToken", fastly.KindRevoke, "DELETE", "/tokens/" + someID, 204, "",
		func(ctx context.Context, c *fastly.Client, tokenID string) error {
			return c.Tokens.RevokeToken(ctx, tokenID)
		},
	}
	revokeTokenCurrent = operation{
		"RevokeTokenCurrent", fastly.KindRevokeCurrent, "DELETE", "/tokens/self", 204, "",
		func(ctx context.Context, c *fastly.Client, _ string) error { return c.Tokens.RevokeTokenCurrent(ctx) },
	}

	operations = []operation{
		bulkRevokeTokens, createToken, getToken, getTokenCurrent,
		listTokensCustomer, listTokensUser, revokeToken, revokeTokenCurrent,
	}
)

var (
	// noRetry shows each failure at once.
	noRetry = fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 1})
	// quickRetry is the default policy with waits of next to nothing.
	quickRetry = fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: time.Microsecond, MaxBackoff: time.Millisecond})
)

func mustClient(t testing.TB, opts ...fastly.Option) *fastly.Client {
	t.Helper()
	c, err := fastly.NewClient(opts...)
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// newAPI starts an in-memory API.
func newAPI(t testing.TB, opts ...fastlytest.Option) *fastlytest.Server {
	t.Helper()
	srv := fastlytest.NewServer(append([]fastlytest.Option{fastlytest.WithoutSudo()}, opts...)...)
	t.Cleanup(srv.Close)
	return srv
}

// testTime is the time of a rig, whose clock stands still.
var testTime = time.Date(2030, 5, 6, 7, 30, 0, 0, time.UTC)

// waits records the waits between attempts, which take no time.
type waits struct {
	mu   sync.Mutex
	list []time.Duration
}

func skipWaits(c *fastly.Client) *waits {
	w := new(waits)
	fastly.HookSleep(c, func(ctx context.Context, d time.Duration) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.list = append(w.list, d)
		return ctx.Err()
	})
	fastly.HookJitter(c, func() float64 { return 0 })
	fastly.HookNow(c, func() time.Time { return testTime })
	return w
}

func (w *waits) all() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}

// received is a request as a stub got it.
type received struct {
	method  string
	uri     string
	host    string
	header  http.Header
	body    string
	length  int64
	chunked bool
}

// stub is a server with canned responses.
type stub struct {
	*httptest.Server
	conns atomic.Int32 // connections that it got
	mu    sync.Mutex
	list  []received
}

// newStub starts a server that gives each request the same response.
func newStub(t testing.TB, status int, header http.Header, body string) *stub {
	t.Helper()
	return newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range header {
			w.Header()[http.CanonicalHeaderKey(name)] = values
		}
		w.WriteHeader(status)
		// The client may have read enough.
		_, _ = io.WriteString(w, body)
	})
}

// newStubFunc starts a server that records each request before respond gets it.
func newStubFunc(t testing.TB, respond http.HandlerFunc) *stub {
	t.Helper()
	s := new(stub)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		s.list = append(s.list, received{
			method: r.Method, uri: r.RequestURI, host: r.Host, header: r.Header.Clone(),
			body: string(body), length: r.ContentLength, chunked: len(r.TransferEncoding) > 0,
		})
		s.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		respond(w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// requests returns the requests so far.
func (s *stub) requests() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// request returns the one request there was.
func (s *stub) request(t testing.TB) received {
	t.Helper()
	all := s.requests()
	require.Len(t, all, 1, "one request was wanted")
	return all[0]
}

// client returns a client of the stub that never retries.
func (s *stub) client(t testing.TB, opts ...fastly.Option) *fastly.Client {
	t.Helper()
	return mustClient(t, append([]fastly.Option{fastly.WithBaseURL(s.URL), fastly.WithAPIKey(someKey), noRetry}, opts...)...)
}

// roundTripFunc is an http.RoundTripper made of a function.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// respond returns a transport that has the response without a network.
func respond(status int, body string) roundTripFunc {
	return func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			if err := r.Body.Close(); err != nil {
				return nil, err
			}
		}
		return &http.Response{
			StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
		}, nil
	}
}

// errConnRefused is the error of a dial that is refused.
var errConnRefused = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

// discardLog keeps a server's complaints about its clients out of the output.
var discardLog = log.New(io.Discard, "", 0)

// trust returns the TLS settings of a client that trusts srv.
func trust(srv *httptest.Server) *tls.Config {
	roots := x509.NewCertPool()
	if cert := srv.Certificate(); cert != nil {
		roots.AddCert(cert)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

func hostOf(t testing.TB, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	return u.Host
}

// responseError returns the GenericTokenError that err holds.
func responseError(t testing.TB, err error) *fastly.GenericTokenError {
	t.Helper()
	var response *fastly.GenericTokenError
	require.ErrorAs(t, err, &response)
	return response
}

// assertInvalid checks that err rejects an argument or option, in a text with
// each of the parts.
func assertInvalid(t testing.TB, err error, parts ...string) {
	t.Helper()
	require.Error(t, err)
	assertMatches(t, err, fastly.ErrInvalidArgument)
	for _, part := range parts {
		require.ErrorContains(t, err, part)
	}
	assertOneLine(t, err)
}

// assertOneLine checks that an error can be shown in a terminal and a log: one
// line, printable, of bounded length.
func assertOneLine(t testing.TB, err error) {
	t.Helper()
	text := err.Error()
	assert.Regexp(t, `^(Post "\S+": )?fastly: .*\S$`, text, "an http.Client names the request first")
	assert.True(t, utf8.ValidString(text), "not UTF-8: %q", text)
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	assert.Equal(t, -1, strings.IndexFunc(text, unprintable), "not printable: %q", text)
	assert.LessOrEqual(t, len(text), 2<<10, "length of the error's text")
}

// The secrets that must not be found anywhere. The password has a character of
// every sort that some encoding changes in its own way.
const (
	canaryKey      = "CanaryKey-9fK2_q7ZxW3mB8tR5vL1nYp"
	canaryLogin    = "alice@canary.example"
	canaryPassword = `Canary "p<w>d&/+%41\'é; 10=ok~`
	canaryOTP      = "CanaryOTP731964"
	canaryAccess   = "CanaryAccess-4Tz8_pQ1sD6wH3kV9cJ0"
)

var canaries = map[string]string{
	"key": canaryKey, "password": canaryPassword, "OTP": canaryOTP, "access token": canaryAccess,
	"basic": base64.StdEncoding.EncodeToString([]byte(canaryLogin + ":" + canaryPassword)),
}

// canaryRequest is a create with the client's own credentials and a one-time
// password, canaryLoginRequest one that authenticates itself.
func canaryRequest() *fastly.CreateTokenRequest {
	return &fastly.CreateTokenRequest{Name: someName, OTP: canaryOTP}
}

func canaryLoginRequest() *fastly.CreateTokenRequest {
	return &fastly.CreateTokenRequest{Name: someName, Username: canaryLogin, Password: canaryPassword, OTP: canaryOTP}
}

// assertNoSecretIn checks a text of any kind.
func assertNoSecretIn(t testing.TB, what, text string) {
	t.Helper()
	if found := findCanaries(text); len(found) > 0 {
		assert.Fail(t, "a secret leaked", "%v by %s: %.3000q", found, what, text)
	}
}

// assertNoSecret checks all that can be seen of an error and of those that it
// wraps: the text, and what verbs, encoders and loggers print.
func assertNoSecret(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	assertNoSecretIn(t, fmt.Sprintf("Error of %T", err), err.Error())
	for _, verb := range strings.Fields("%#v %+v %s %q %x %d %t") {
		assertNoSecretIn(t, fmt.Sprintf("%s of %T", verb, err), fmt.Sprintf(verb, err))
	}
	if text, failed := json.Marshal(err); failed == nil {
		assertNoSecretIn(t, fmt.Sprintf("JSON of %T", err), string(text))
	}
	switch err := err.(type) { //nolint:errorlint // each level is looked at
	case interface{ Unwrap() error }:
		assertNoSecret(t, err.Unwrap())
	case interface{ Unwrap() []error }:
		for _, e := range err.Unwrap() {
			assertNoSecret(t, e)
		}
	}
}
