package fastly_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
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

	libraryProduct = "fastly-tokens-go/0.2.0"

	tokenJSON   = `{"id":"` + someID + `","name":"deploy","scope":"global"}`
	createdJSON = `{"id":"` + someID + `","name":"deploy","access_token":"` + someKey + `"}`
	sudoJSON    = `{"msg":"You must POST /sudo to access this endpoint"}`
)

// What errors say to do next.
const (
	hintOTP         = "; send the account's current one-time password"
	hintSudo        = "; confirm the API key by POST /sudo first"
	hintSudoCreate  = "; create with a user name and password, or confirm the API key by POST /sudo first"
	hintScope       = "; use one of the scopes global, purge_select, purge_all and global:read"
	hintLocked      = "; unlock the account in the Fastly web interface, or wait"
	hintExpired     = "; use another API token: this one has expired"
	hintCredentials = "; check that the credentials are right, and neither expired nor revoked"
	hintForbidden   = "; use a token whose scope and user may do this"
	hintForeign     = "; something between the program and the API answered"
	hintRevoked     = "; the token may be revoked nevertheless; revoking again by ID is safe"
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

// operations is in alphabetical order.
var operations = []operation{
	{"BulkRevokeTokens", fastly.KindRevokeBulk, "DELETE", "/tokens", 204, "", func(ctx context.Context, c *fastly.Client, tokenID string) error {
		return c.Tokens.BulkRevokeTokens(ctx, []string{tokenID})
	}},
	{"CreateToken", fastly.KindCreate, "POST", "/tokens", 200, createdJSON, func(ctx context.Context, c *fastly.Client, _ string) error {
		created, err := c.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{Name: someName})
		if err == nil && created.AccessToken == "" {
			err = errors.New("there is no access token")
		}
		return err
	}},
	{"GetToken", fastly.KindRead, "GET", "/tokens/" + someID, 200, tokenJSON, func(ctx context.Context, c *fastly.Client, tokenID string) error {
		_, err := c.Tokens.GetToken(ctx, tokenID)
		return err
	}},
	{"GetTokenCurrent", fastly.KindRead, "GET", "/tokens/self", 200, tokenJSON, func(ctx context.Context, c *fastly.Client, _ string) error {
		_, err := c.Tokens.GetTokenCurrent(ctx)
		return err
	}},
	{"ListTokensCustomer", fastly.KindRead, "GET", "/customer/" + someCustomer + "/tokens", 200, "[" + tokenJSON + "]", func(ctx context.Context, c *fastly.Client, _ string) error {
		list, err := c.Tokens.ListTokensCustomer(ctx, someCustomer)
		if err == nil && len(list) == 0 {
			err = errors.New("the list is empty")
		}
		return err
	}},
	{"ListTokensUser", fastly.KindRead, "GET", "/tokens", 200, "[" + tokenJSON + "]", func(ctx context.Context, c *fastly.Client, _ string) error {
		_, err := c.Tokens.ListTokensUser(ctx)
		return err
	}},
	{"RevokeToken", fastly.KindRevoke, "DELETE", "/tokens/" + someID, 204, "", func(ctx context.Context, c *fastly.Client, tokenID string) error {
		return c.Tokens.RevokeToken(ctx, tokenID)
	}},
	{"RevokeTokenCurrent", fastly.KindRevokeCurrent, "DELETE", "/tokens/self", 204, "", func(ctx context.Context, c *fastly.Client, _ string) error {
		return c.Tokens.RevokeTokenCurrent(ctx)
	}},
}

func operationNamed(name string) operation {
	return operations[slices.IndexFunc(operations, func(op operation) bool { return op.name == name })]
}

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

// addToken adds a token of the scopes to the user.
func addToken(srv *fastlytest.Server, userID string, scopes ...fastly.Scope) fastly.TokenCreatedResponse {
	return srv.AddToken(userID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Scopes: scopes}})
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

func date(month time.Month) time.Time { return time.Date(2030, month, 2, 3, 4, 5, 0, time.UTC) }

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

// rig is one operation with a server and a client that may perform it, and the
// token that it acts on.
type rig struct {
	t      *testing.T
	op     operation
	srv    *fastlytest.Server
	client *fastly.Client
	waits  *waits
	victim fastly.TokenCreatedResponse
}

func newRig(t *testing.T, op operation, opts ...fastly.Option) *rig {
	t.Helper()
	srv := newAPI(t, fastlytest.WithClock(func() time.Time { return testTime }))
	user := srv.AddUser(fastlytest.User{CustomerID: someCustomer, Superuser: true})
	victim := srv.AddToken(user.ID, fastly.TokenCreatedResponse{})
	key := srv.AddToken(user.ID, fastly.TokenCreatedResponse{}).AccessToken
	if op.kind == fastly.KindRevokeCurrent {
		key = victim.AccessToken
	}
	c := mustClient(t, append([]fastly.Option{fastly.WithBaseURL(srv.URL), fastly.WithAPIKey(key.Reveal())}, opts...)...)
	return &rig{t: t, op: op, srv: srv, client: c, waits: skipWaits(c), victim: victim}
}

func (r *rig) do() error { return r.op.call(r.t.Context(), r.client, r.victim.ID) }

func (r *rig) revoked() bool {
	token, ok := r.srv.Token(r.victim.ID)
	require.True(r.t, ok)
	return !token.DeletedAt.IsZero()
}

func (r *rig) created() (n int) {
	for _, token := range r.srv.Tokens() {
		if token.Name == someName {
			n++
		}
	}
	return n
}

// assertApplied checks whether the operation was applied, and not twice.
func (r *rig) assertApplied(want bool) {
	r.t.Helper()
	switch r.op.kind {
	case fastly.KindRead:
	case fastly.KindCreate:
		assert.Equal(r.t, map[bool]int{true: 1}[want], r.created(), "tokens created")
	default:
		assert.Equal(r.t, want, r.revoked(), "revoked")
	}
}

// assertRequests checks the number of requests, with a wait before each retry.
func (r *rig) assertRequests(want int) {
	r.t.Helper()
	assert.Len(r.t, r.srv.Requests(), want, "requests sent")
	assert.Len(r.t, r.waits.all(), max(want-1, 0), "waits")
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
	mu   sync.Mutex
	list []received
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
	s.Server = httptest.NewServer(s.record(respond))
	t.Cleanup(s.Close)
	return s
}

func (s *stub) record(respond http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
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
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		respond(w, r)
	}
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

// newCounted starts a server that counts the connections it gets.
func newCounted(t *testing.T, handler http.HandlerFunc) (srv *httptest.Server, conns *atomic.Int32) {
	t.Helper()
	conns = new(atomic.Int32)
	srv = httptest.NewUnstartedServer(handler)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv, conns
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

// trackedBody counts what is read of it, and how often it is closed.
type trackedBody struct {
	io.Reader
	read   atomic.Int64
	closed atomic.Int32
}

func newBody(text string) *trackedBody { return &trackedBody{Reader: strings.NewReader(text)} }

func (b *trackedBody) Read(p []byte) (n int, err error) {
	n, err = b.Reader.Read(p)
	b.read.Add(int64(n))
	return n, err
}

func (b *trackedBody) Close() error {
	b.closed.Add(1)
	return nil
}

// endless reads as a text, then as another one, repeated without end.
func endless(begin, again string) io.Reader {
	// Byte by byte, 64 MiB would take seconds.
	return io.MultiReader(strings.NewReader(begin), &repeating{text: strings.Repeat(again, 1+4096/len(again))})
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

// dialer fails as its function says, which is given the number of the dial.
type dialer struct {
	fail func(n int) (net.Conn, error) // nil, nil: dial
	n    atomic.Int32
}

// failingDialer fails with err the first few times.
func failingDialer(err error, times int) *dialer {
	return &dialer{fail: func(n int) (net.Conn, error) {
		if n <= times {
			return nil, err
		}
		return nil, nil
	}}
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if conn, err := d.fail(int(d.n.Add(1))); conn != nil || err != nil {
		return conn, err
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

func (d *dialer) transport() *http.Transport { return &http.Transport{DialContext: d.dial} }

// errConnRefused is the error of a dial that is refused.
var errConnRefused = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

// discardLog keeps a server's complaints about its clients out of the output.
var discardLog = log.New(io.Discard, "", 0)

// newQuietTLS is httptest.NewTLSServer without complaints about handshakes that
// a client ends.
func newQuietTLS(handler http.Handler) *httptest.Server {
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.ErrorLog = discardLog
	srv.StartTLS()
	return srv
}

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

// logBuffer is a log that several goroutines write to.
type logBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// responseError returns the GenericTokenError that err holds.
func responseError(t testing.TB, err error) *fastly.GenericTokenError {
	t.Helper()
	var response *fastly.GenericTokenError
	require.ErrorAs(t, err, &response)
	return response
}

func isUnknown(err error) bool { return errors.Is(err, fastly.ErrOutcomeUnknown) }

var allSentinels = map[string]error{
	"ErrBadRequest":         fastly.ErrBadRequest,
	"ErrUnauthorized":       fastly.ErrUnauthorized,
	"ErrForbidden":          fastly.ErrForbidden,
	"ErrNotFound":           fastly.ErrNotFound,
	"ErrUnprocessable":      fastly.ErrUnprocessable,
	"ErrRateLimited":        fastly.ErrRateLimited,
	"ErrServer":             fastly.ErrServer,
	"ErrOTPRequired":        fastly.ErrOTPRequired,
	"ErrInvalidCredentials": fastly.ErrInvalidCredentials,
	"ErrInvalidScope":       fastly.ErrInvalidScope,
	"ErrAccountLocked":      fastly.ErrAccountLocked,
	"ErrSudoRequired":       fastly.ErrSudoRequired,
	"ErrTokenExpired":       fastly.ErrTokenExpired,
	"ErrInvalidArgument":    fastly.ErrInvalidArgument,
	"ErrInvalidResponse":    fastly.ErrInvalidResponse,
	"ErrOutcomeUnknown":     fastly.ErrOutcomeUnknown,
}

// assertMatches checks that err matches the wanted sentinels and no other.
func assertMatches(t testing.TB, err error, want ...error) {
	t.Helper()
	var wanted, got []string
	for name, sentinel := range allSentinels {
		if slices.Contains(want, sentinel) {
			wanted = append(wanted, name)
		}
		if errors.Is(err, sentinel) {
			got = append(got, name)
		}
	}
	assert.ElementsMatch(t, wanted, got, "sentinels of %v", err)
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

func assertOneLine(t testing.TB, err error) {
	t.Helper()
	assert.NotContains(t, err.Error(), "\n")
	assert.NotContains(t, err.Error(), "\r")
	assert.Regexp(t, `^fastly: .*\S$`, err.Error())
}

// assertPrintable checks that an error can be shown in a terminal and a log: one
// line, printable, of bounded length.
func assertPrintable(t testing.TB, err error) {
	t.Helper()
	text := err.Error()
	assert.True(t, utf8.ValidString(text), "not UTF-8: %q", text)
	for _, r := range text {
		if !unicode.IsPrint(r) {
			assert.Fail(t, "not printable", "%q in %q", r, text)
			break
		}
	}
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

	// telltale is how much of a canary shows that it leaked.
	telltale = 10
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

func quoteJSON(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(text)
}

var (
	percentByte = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	jsonEscapes = regexp.MustCompile(`\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\.`)
)

// decodings returns a text, and what it decodes to.
func decodings(text string) []string {
	if !strings.ContainsAny(text, `%+&\`) {
		return []string{text}
	}
	unpercent := func(s string) string {
		return percentByte.ReplaceAllStringFunc(s, func(m string) string {
			b, _ := hex.DecodeString(m[1:])
			return string(b)
		})
	}
	unescape := func(s string) string {
		return jsonEscapes.ReplaceAllStringFunc(s, func(m string) string {
			if m[1] == 'u' || m[1] == 'x' {
				n, _ := strconv.ParseUint(m[2:], 16, 32)
				return string(rune(n))
			}
			return m[1:]
		})
	}
	return []string{
		text, unpercent(text), unpercent(strings.ReplaceAll(text, "+", " ")), html.UnescapeString(text),
		unescape(text), unescape(html.UnescapeString(text)), unescape(unescape(text)),
	}
}

// partsOfCanaries are the parts that show that a canary leaked.
type partsOfCanaries struct {
	names  map[string]string // of the canary, by each part as it is and in hexadecimal
	begins [1 << 16]bool     // the first two bytes of a part
}

var telltales = sync.OnceValue(func() *partsOfCanaries {
	parts := &partsOfCanaries{names: map[string]string{}}
	for name, canary := range canaries {
		for at := 0; at+telltale <= len(canary); at++ {
			part := canary[at : at+telltale]
			inHex := hex.EncodeToString([]byte(part))
			for _, form := range []string{part, inHex, strings.ToUpper(inHex)} {
				parts.names[form] = name
				parts.begins[int(form[0])<<8|int(form[1])] = true
			}
		}
	}
	return parts
})

// findCanaries returns which canaries, or parts of them, are in a text.
func findCanaries(text string) (found []string) {
	add := func(name string) {
		if name != "" && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	parts := telltales()
	for i, form := range decodings(text) {
		if i > 0 && form == text {
			continue
		}
		for at := 0; at+telltale <= len(form); at++ {
			if !parts.begins[int(form[at])<<8|int(form[at+1])] {
				continue
			}
			for _, size := range []int{telltale, 2 * telltale} {
				if at+size <= len(form) {
					add(parts.names[form[at:at+size]])
				}
			}
		}
	}
	for name, canary := range canaries {
		// As %d prints bytes.
		if strings.Contains(text, strings.Trim(fmt.Sprint([]byte(canary[:telltale])), "[]")) { //nolint:staticcheck // the bytes are wanted
			add(name)
		}
	}
	return found
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
