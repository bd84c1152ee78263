package fastly

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultBaseURL is where the API is, unless [WithBaseURL] says otherwise.
const DefaultBaseURL = "https://" + defaultHost

// product is the library's own product token in the User-Agent header.
const product = "fastly-tokens-go/0.1.0"

// defaultTimeout is how long the other side may be silent, unless the caller's
// own http.Client has a say.
const defaultTimeout = 60 * time.Second

// Client talks to the Fastly API. Make it with [NewClient] or
// [NewClientFromEnv]; its zero value can't be used. One Client serves any
// number of goroutines.
type Client struct {
	// Tokens has the API's operations on tokens.
	Tokens *TokensService

	base      *url.URL
	transport http.RoundTripper // authenticates
	wire      http.RoundTripper // below transport
	jar       http.CookieJar
	timeout   time.Duration // of one attempt; zero: none
	header    map[bodyType]http.Header
	sharing   bool // transport does not touch the header it is given
	policy    RetryPolicy
	logger    *slog.Logger
	rateLimit atomic.Pointer[RateLimit]

	now   func() time.Time
	pause func(context.Context, time.Duration) error
}

// Format implements [fmt.Formatter]: the base URL, for every verb.
func (c *Client) Format(f fmt.State, _ rune) {
	base := "none"
	if c != nil && c.base != nil {
		base = c.base.String()
	}
	// A failed write has nowhere to be reported to.
	_, _ = fmt.Fprintf(f, "fastly.Client(%s)", base)
}

// RateLimit is what the API says of its hourly limit, which requests that
// change something count towards.
//
// Source: https://www.fastly.com/documentation/reference/api/#rate-limiting
type RateLimit struct {
	// Remaining is how many more such requests the API takes before Reset.
	Remaining int
	// Reset is when the limit starts anew, to the second. Zero if the API did
	// not say.
	Reset time.Time
}

// RateLimit returns the rate limit of the last answer that carried one, and
// whether there was any. It is safe for concurrent use.
func (c *Client) RateLimit() (rl RateLimit, ok bool) {
	if last := c.rateLimit.Load(); last != nil {
		return *last, true
	}
	return RateLimit{}, false
}

// CloseIdleConnections closes the connections that are kept for later calls and
// not in use, as [http.Client.CloseIdleConnections] does. A program that keeps
// one Client needs it as little as a test whose server closes them; one that
// makes many clients ends each with it. Unused connections close by themselves
// after 45 s. Safe for concurrent use.
func (c *Client) CloseIdleConnections() {
	if base, ok := c.wire.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// Option configures a [Client]. Given twice, the later one holds; but two ways
// of authentication are an error.
type Option func(*config) error

type config struct {
	base      *url.URL
	plainHTTP bool
	authKind  string
	authorize func(c *config, base http.RoundTripper) http.RoundTripper
	client    *http.Client
	product   string
	policy    RetryPolicy
	logger    *slog.Logger
}

func (c *config) auth(kind string, authorize func(*config, http.RoundTripper) http.RoundTripper) error {
	if c.authKind != "" && c.authKind != kind {
		return invalid("%s and %s are two ways of authentication: use one", c.authKind, kind)
	}
	c.authKind, c.authorize = kind, authorize
	return nil
}

// WithAPIKey authenticates with an API token, sent as the Fastly-Key header.
func WithAPIKey(key string) Option {
	return func(c *config) error {
		if err := checkKey(key); err != nil {
			return err
		}
		return c.auth("WithAPIKey", func(c *config, base http.RoundTripper) http.RoundTripper {
			return &APIKeyTransport{Key: Secret(key), Host: c.base.Host, Base: base, plainHTTP: c.plainHTTP, checked: true}
		})
	}
}

// WithAPIKeyFunc authenticates with the API token that f returns. f is called
// for each request that is sent, retries included, by many goroutines at a
// time: for keys that rotate while the program runs. Only the attempts of one
// [TokensService.RevokeTokenCurrent] share a key: to another one, "current" would
// be another token. An error of f ends the call, and is found by [errors.Is].
func WithAPIKeyFunc(f func(context.Context) (Secret, error)) Option {
	return func(c *config) error {
		if f == nil {
			return invalid("WithAPIKeyFunc was given nil")
		}
		return c.auth("WithAPIKeyFunc", func(c *config, base http.RoundTripper) http.RoundTripper {
			return &APIKeyTransport{KeyFunc: f, Host: c.base.Host, Base: base, plainHTTP: c.plainHTTP, checked: true}
		})
	}
}

// WithBasicAuth authenticates with a user name and password, which the API
// takes for [TokensService.CreateToken] alone.
func WithBasicAuth(username, password string) Option {
	return func(c *config) error {
		if err := checkLogin(username, password); err != nil {
			return err
		}
		return c.auth("WithBasicAuth", func(c *config, base http.RoundTripper) http.RoundTripper {
			return &BasicAuthTransport{Username: username, Password: Secret(password), Host: c.base.Host, Base: base, plainHTTP: c.plainHTTP, checked: true}
		})
	}
}

// WithTransport sends requests through rt, which authenticates them in its own
// way. Where it sends credentials is up to rt; the client follows no redirect.
func WithTransport(rt http.RoundTripper) Option {
	return func(c *config) error {
		if rt == nil {
			return invalid("WithTransport was given nil")
		}
		if err := checkTLS(rt); err != nil {
			return err
		}
		return c.auth("WithTransport", func(c *config, _ http.RoundTripper) http.RoundTripper { return rt })
	}
}

// WithHTTPClient lays the authentication over the transport of hc (for proxies,
// TLS settings, tracing), which so sees each request with its credentials and
// its body, and uses its Jar and Timeout: the Timeout bounds each
// attempt, and zero means no bound but the context's. hc itself is never
// changed. Redirects are not followed, whatever its CheckRedirect says.
//
// Without a transport of the caller's, an attempt ends when nothing is heard from
// the API for 60 s, and at most 64 connections are open at a time.
func WithHTTPClient(hc *http.Client) Option {
	return func(c *config) error {
		if hc == nil {
			return invalid("WithHTTPClient was given nil")
		}
		c.client = hc
		return checkTLS(hc.Transport)
	}
}

// WithBaseURL replaces [DefaultBaseURL]. A path in it is put before those of
// the API. It has to be https, unless its host is loopback, with no user name,
// query or fragment.
func WithBaseURL(rawURL string) Option {
	return func(c *config) (err error) {
		c.base, err = parseBaseURL(rawURL)
		return err
	}
}

// WithInsecurePlainHTTP allows a base URL with plain http to a host that is not
// loopback, so that everybody on the way can read the credentials and the
// tokens made with them. It is for a proxy on a network of your own.
func WithInsecurePlainHTTP() Option {
	return func(c *config) error {
		c.plainHTTP = true
		return nil
	}
}

// WithUserAgent puts a product token, such as "deploy-tool/1.4", before the
// library's own in the User-Agent header. By default that one stands alone.
func WithUserAgent(product string) Option {
	return func(c *config) error {
		if !isVisible(strings.ReplaceAll(product, " ", "")) || strings.TrimSpace(product) != product || product == "" {
			return invalid("the user agent %q is not a product token such as \"deploy-tool/1.4\"", product)
		}
		c.product = product
		return nil
	}
}

// WithRetryPolicy replaces the default [RetryPolicy]. A negative field is an error,
// and so is a MinBackoff longer than MaxBackoff.
func WithRetryPolicy(p RetryPolicy) Option {
	return func(c *config) error {
		c.policy = p
		return p.check()
	}
}

// WithLogger logs each attempt at debug level: method, path, status (0 if there
// was no answer), outcome (such as "done", "lost" or "rate limited"), duration,
// attempt, and the wait before the next. Headers and bodies are never logged.
// A nil logger logs nothing, as does the default.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) error {
		c.logger = l
		return nil
	}
}

// NewClient returns a client for the API. It needs exactly one of [WithAPIKey],
// [WithAPIKeyFunc], [WithBasicAuth] and [WithTransport]. The first option that
// can't work is its error, which matches [ErrInvalidArgument].
func NewClient(opts ...Option) (*Client, error) {
	c, err := configure(opts)
	if err != nil {
		return nil, err
	}
	return c.build()
}

// NewClientFromEnv is [NewClient] with the API token in the environment
// variable FASTLY_API_TOKEN, or else FASTLY_API_KEY, and the base URL in
// FASTLY_API_URL if that is set. An option goes before the environment. With no
// API token at all, or one that can't be sent, the error matches
// [ErrInvalidArgument] and names the variable. The environment is read once.
func NewClientFromEnv(opts ...Option) (*Client, error) {
	c, err := configure(opts)
	if err != nil {
		return nil, err
	}
	var fromEnv []Option
	if c.authKind == "" {
		name := "FASTLY_API_TOKEN"
		if os.Getenv(name) == "" {
			name = "FASTLY_API_KEY"
		}
		if os.Getenv(name) == "" {
			return nil, invalid("no credentials: set FASTLY_API_TOKEN (or FASTLY_API_KEY) to an API token")
		}
		fromEnv = append(fromEnv, named(name, WithAPIKey(os.Getenv(name))))
	}
	if rawURL := os.Getenv("FASTLY_API_URL"); rawURL != "" && c.base == nil {
		fromEnv = append(fromEnv, named("FASTLY_API_URL", WithBaseURL(rawURL)))
	}
	if err := c.apply(fromEnv); err != nil {
		return nil, err
	}
	return c.build()
}

// named says which environment variable an option's value came from.
func named(variable string, opt Option) Option {
	return func(c *config) error {
		if err := opt(c); err != nil {
			return fmt.Errorf("%w (from %s)", err, variable)
		}
		return nil
	}
}

func configure(opts []Option) (*config, error) {
	c := new(config)
	return c, c.apply(opts)
}

func (c *config) apply(opts []Option) error {
	for _, opt := range opts {
		if opt == nil {
			return invalid("an option is nil")
		}
		if err := opt(c); err != nil {
			return err
		}
	}
	return nil
}

func (c *config) build() (*Client, error) {
	if c.authorize == nil {
		return nil, invalid("no credentials: use WithAPIKey, WithAPIKeyFunc, WithBasicAuth, WithTransport or NewClientFromEnv")
	}
	if c.base == nil {
		c.base, _ = url.Parse(DefaultBaseURL)
	}
	if c.base.Scheme == "http" && !c.plainHTTP && !isLoopback(c.base.Hostname()) {
		return nil, invalid("the base URL is plain http: anybody on the way to %s could read the credentials; use https", c.base.Host)
	}
	var hc http.Client
	if c.client != nil {
		hc = *c.client
	}
	if c.authKind == "WithTransport" && hc.Transport != nil {
		return nil, invalid("WithTransport and the transport of WithHTTPClient exclude each other: lay your transport over the other one, or leave the client's nil")
	}
	wire := hc.Transport
	if c.authKind == "WithTransport" {
		wire = c.authorize(c, nil)
	} else if wire == nil {
		wire = defaultTransport()
	}
	if _, ours := wire.(*pooledTransport); c.client == nil && !ours {
		hc.Timeout = defaultTimeout
	}
	client := &Client{
		base:      c.base,
		transport: c.authorize(c, wire),
		wire:      wire,
		jar:       hc.Jar,
		timeout:   hc.Timeout,
		policy:    c.policy.withDefaults(),
		logger:    c.logger,
		header:    headers(strings.TrimSpace(c.product + " " + product)),
		sharing:   c.authKind != "WithTransport",
		now:       time.Now,
		pause:     pause,
	}
	client.Tokens = &TokensService{client: client}
	return client, nil
}

// pooledTransport is for many goroutines and for long lists, and gives up on a
// silent connection. A deadline of the connection costs a call less than one of
// its context does.
type pooledTransport struct{ *http.Transport }

// defaultTransport is http.DefaultTransport, pooled, unless the program has put
// a RoundTripper of its own there.
func defaultTransport() http.RoundTripper {
	shared, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t := shared.Clone()
	t.MaxConnsPerHost = 64
	t.MaxIdleConnsPerHost = 64
	t.IdleConnTimeout = defaultTimeout * 3 / 4 // before the deadline of its last read
	t.MaxResponseHeaderBytes = 256 << 10
	t.ReadBufferSize = 32 << 10
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = new(tls.Config)
	}
	t.TLSClientConfig.MinVersion = max(t.TLSClientConfig.MinVersion, tls.VersionTLS12)
	dial := t.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &deadlineConn{Conn: conn}, nil
	}
	return &pooledTransport{t}
}

// deadlineConn is a connection on which there may not be silence for long.
type deadlineConn struct {
	net.Conn
	set atomic.Int64 // when the deadline was set, in Unix nanoseconds
}

func (c *deadlineConn) Read(p []byte) (int, error) {
	if err := c.postpone(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *deadlineConn) Write(p []byte) (int, error) {
	if err := c.postpone(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// postpone sets the deadline anew if that was not done just now: it costs more
// than to look at the clock. A write postpones that of a read, too, which may be
// pending since long before there was anything to wait for.
func (c *deadlineConn) postpone() error {
	now := time.Now()
	if since := now.UnixNano() - c.set.Load(); since >= 0 && since < int64(time.Second) {
		return nil
	}
	c.set.Store(now.UnixNano())
	return c.SetDeadline(now.Add(defaultTimeout))
}

func parseBaseURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	var reason *url.Error
	switch {
	// The URL may hold a password, and so may what the parser says of it.
	case err != nil && (strings.Contains(rawURL, "@") || !errors.As(err, &reason)):
		return nil, invalid("the base URL can't be parsed: it should look like %s", DefaultBaseURL)
	case err != nil:
		return nil, invalid("the base URL can't be parsed (%s): it should look like %s", oneLine(reason.Err.Error()), DefaultBaseURL)
	case u.User != nil:
		return nil, invalid("the base URL holds a user name: use WithBasicAuth for credentials")
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		shown := ""
		if rawURL == "" || strings.ContainsAny(rawURL, "./:") && !strings.Contains(rawURL, "@") {
			shown = " " + strconv.Quote(cutText(rawURL, 200))
		} // else it may be a credential in the wrong place
		return nil, invalid("the base URL%s is not an absolute http or https URL: it should look like %s", shown, DefaultBaseURL)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, invalid("the base URL has a query or a fragment: leave them out")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// bodyType is what an operation sends.
type bodyType int

const (
	noBody bodyType = iota
	formBody
	bulkBody
)

// headers are those of requests with each type of body.
func headers(userAgent string) map[bodyType]http.Header {
	const bulk = "application/vnd.api+json; ext=bulk"
	plain := http.Header{"Accept": {"application/json"}, "User-Agent": {userAgent}}
	form := maps.Clone(plain)
	form.Set("Content-Type", "application/x-www-form-urlencoded")
	list := maps.Clone(plain)
	list.Set("Accept", bulk)
	list.Set("Content-Type", bulk)
	return map[bodyType]http.Header{noBody: plain, formBody: form, bulkBody: list}
}

// operation is one call, as its method describes it.
type operation struct {
	kind   kind
	method string
	path   string
	body   []byte
	bodyType
	otp      Secret
	password Secret // in the body
	asking   sync.Mutex
	key      Secret // that all its attempts keep to, once it is known
	// name of the token to be created, to be looked for if it may exist.
	name string
}

// whatNext is what to do if the operation may have been carried out; prior says
// so of an attempt that was sent again.
func (op *operation) whatNext(unknown, prior bool) string {
	switch {
	case !unknown && prior && op.kind != kindRead:
		return "it may have been carried out all the same; revoking again is safe"
	case !unknown:
		return ""
	case op.kind == kindCreate:
		return fmt.Sprintf("a token may have been created: before you create it again, look for the name %q with ListTokensUser, and revoke what you find and don't hold", cutText(op.name, 100))
	}
	return "an earlier attempt may have revoked some or all of the tokens: list them to see"
}

// outcome is what became of one attempt.
type outcome struct {
	event  event
	status int
	err    error
	asked  time.Duration // the wait that the API asked for
}

// call is an operation's way: send, and again as judge allows, until there is
// an answer that decode can read or an error that says why not. A value may
// come with an error.
func call[T any](ctx context.Context, c *Client, op *operation, decode func(io.Reader) (T, error)) (value T, err error) {
	if ctx == nil {
		return value, invalid("the context is nil")
	}
	if err := ctx.Err(); err != nil {
		return value, op.fail(0, "not sent: "+err.Error(), contextError(ctx, err))
	}
	prior := false
	for attempt := 1; ; attempt++ {
		start := c.now()
		out := c.attempt(ctx, op, func(body io.Reader) (err error) {
			value, err = decode(body)
			return err
		})
		v := judge(op.kind, out.event, out.status, prior)
		prior = prior || out.event == eventLost || out.event == eventBusy
		var wait time.Duration
		if v.again && ctx.Err() == nil && attempt < c.policy.MaxAttempts {
			wait = waitFor(c.policy, out.asked, attempt)
			v.again = c.mayWait(ctx, wait)
		} else {
			v.again = false
		}
		c.log(ctx, op, out, attempt, c.now().Sub(start), wait, v)
		switch {
		case v.done:
			return value, nil
		case !v.again:
			return value, op.explain(ctx, out, attempt, v, prior)
		}
		if err := c.pause(ctx, wait); err != nil {
			failed := op.fail(attempt, "ended while waiting to try again: "+err.Error(), contextError(ctx, err), out.err)
			failed.hint = op.whatNext(false, prior)
			return value, failed
		}
	}
}

// mayWait reports whether a wait of d is worth to be begun.
func (c *Client) mayWait(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return d <= c.policy.MaxWait && (!ok || c.now().Add(d).Before(deadline))
}

// attempt sends the operation once.
func (c *Client) attempt(ctx context.Context, op *operation, decode func(io.Reader) error) outcome {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	var s *sending
	if op.kind != kindRead {
		ctx, s = watch(ctx, op)
		defer s.stop(nil)
	}
	resp, err := c.send(c.request(ctx, op, s))
	if err != nil {
		return outcome{event: classifyFailure(err, s), err: hideError(err, op.secrets()...)}
	}
	defer resp.Body.Close()
	limit := c.noteRateLimit(resp.Header)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		e := c.answerError(op, resp, limit)
		event := classifyStatus(resp.StatusCode)
		if errors.Is(e, ErrSudoRequired) {
			event = eventFailed // the key works: nothing has been revoked
		}
		return outcome{event: event, status: resp.StatusCode, err: e, asked: e.asksToWait()}
	}
	if err = decode(resp.Body); err != nil {
		err = hideError(err, op.sentSecrets(resp)...)
		// So that the connection can be used again. Should this fail, it can't.
		_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBytes)
	}
	return outcome{event: classifyAnswer(err), status: resp.StatusCode, err: err}
}

// send goes to the transport directly, not by an http.Client: so there is no
// redirect that could be followed, whoever asks for it.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	if c.jar != nil {
		for _, cookie := range c.jar.Cookies(req.URL) {
			req.AddCookie(cookie)
		}
	}
	resp, err := c.transport.RoundTrip(req)
	switch {
	case err != nil:
		return nil, err
	case resp == nil:
		return nil, errors.New("the transport returned no answer and no error")
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	if c.jar != nil {
		c.jar.SetCookies(req.URL, resp.Cookies())
	}
	return resp, nil
}

// classifyAnswer is the event that a 2xx stands for, by how reading it ended.
func classifyAnswer(err error) event {
	switch {
	case err == nil:
		return eventDone
	case errors.As(err, new(*cutError)):
		return eventCut
	}
	return eventUnusable
}

func (c *Client) request(ctx context.Context, op *operation, s *sending) *http.Request {
	u := *c.base
	u.Path += op.path
	if u.RawPath != "" {
		u.RawPath += op.path
	}
	header := c.header[op.bodyType]
	if !c.sharing || c.jar != nil || op.otp != "" {
		header = maps.Clone(header)
	}
	if op.otp != "" {
		header.Set("Fastly-OTP", op.otp.Reveal())
	}
	req := &http.Request{
		Method: op.method, URL: &u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if len(op.body) > 0 {
		req.ContentLength = int64(len(op.body))
		req.GetBody = s.body
		req.Body, _ = s.body()
	}
	return req.WithContext(ctx)
}

func (c *Client) noteRateLimit(h http.Header) RateLimit {
	var limit RateLimit
	if text := h.Get("Fastly-Ratelimit-Reset"); text != "" {
		// Up to the year 9999, the last that can be written down.
		if reset, err := strconv.ParseInt(text, 10, 64); err == nil && reset >= 0 && reset < 253402300800 {
			limit.Reset = time.Unix(reset, 0)
		}
	}
	text := h.Get("Fastly-Ratelimit-Remaining")
	if text == "" {
		return limit // a read, or a 429 that says no more than when
	}
	remaining, err := strconv.Atoi(text)
	if err != nil {
		return limit
	}
	limit.Remaining = remaining
	last := limit
	c.rateLimit.Store(&last)
	return limit
}

// retryAfter reads the Retry-After header: seconds or an HTTP date (RFC 9110,
// section 10.2.3). Zero means none, or one that can't be read.
func retryAfter(value string, now time.Time) time.Duration {
	const longest = 365 * 24 * time.Hour
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(longest/time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), longest)
}

// secrets is what must be kept out of errors, whoever sends them.
func (op *operation) secrets() []string {
	return []string{op.password.Reveal(), op.otp.Reveal()}
}

// sentSecrets is every secret of the request that resp answers.
func (op *operation) sentSecrets(resp *http.Response) []string {
	secrets := op.secrets()
	if resp.Request == nil {
		return secrets
	}
	// The request as it was sent, authenticated.
	_, credentials, _ := strings.Cut(resp.Request.Header.Get("Authorization"), " ")
	_, password, _ := resp.Request.BasicAuth()
	return append(secrets, resp.Request.Header.Get("Fastly-Key"), credentials, password)
}

// answerError makes the error of an answer that is not a 2xx.
func (c *Client) answerError(op *operation, resp *http.Response, limit RateLimit) *GenericTokenError {
	secrets := op.sentSecrets(resp)
	var body []byte
	if resp.StatusCode != http.StatusSwitchingProtocols { // whose body is the connection, which nothing would end
		// What could be read of a body that breaks off is better than nothing.
		var err error
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
		if err != nil || len(body) == maxErrorBytes {
			body = []byte(hideEnd(string(body), secrets...))
		}
	}
	s := decodeError(body)
	e := &GenericTokenError{
		StatusCode: resp.StatusCode,
		Msg:        hide(s.msg, secrets...),
		Detail:     hide(s.detail, secrets...),
		Code:       hide(s.code, secrets...),
		Method:     op.method,
		Path:       op.path,
		RateLimit:  limit,
		Body:       hide(string(body), secrets...),
		received:   c.now(),
		home:       c.base.Host,
	}
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), e.received)
	if location, err := resp.Location(); err == nil && resp.StatusCode >= 300 && resp.StatusCode <= 399 {
		e.redirectTo = hide(location.Host, secrets...)
	}
	return e
}

// explain makes the error of a call from its last attempt's.
func (op *operation) explain(ctx context.Context, out outcome, attempts int, v verdict, prior bool) error {
	hint := op.whatNext(v.unknown, prior)
	text := oneLine(reason(out.err))
	if answer := (*GenericTokenError)(nil); errors.As(out.err, &answer) {
		answer.attempts, answer.hint, answer.unknown = attempts, hint, v.unknown
		if ctx.Err() == nil {
			return answer
		}
		text = fmt.Sprintf("%v; the last answer was %d %s", ctx.Err(), answer.StatusCode, oneLine(answer.said()))
	}
	failed := op.fail(attempts, text, out.err)
	if ended := ctx.Err(); ended != nil {
		failed.err = errors.Join(contextError(ctx, ended), out.err)
	}
	failed.hint, failed.unknown = hint, v.unknown
	return failed
}

// reason is the text of an error of the transport or of a decoder.
func reason(err error) string {
	switch err.Error() {
	case io.EOF.Error():
		return "the connection was closed before an answer came"
	case context.DeadlineExceeded.Error():
		return "no answer in time"
	}
	return strings.TrimPrefix(err.Error(), "fastly: ")
}

func (op *operation) fail(attempts int, text string, errs ...error) *callError {
	return &callError{method: op.method, path: op.path, attempts: attempts, text: text, err: errors.Join(errs...)}
}

// contextError matches both the context's error and its cause.
func contextError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, err) {
		return errors.Join(err, cause)
	}
	return err
}

func (c *Client) log(ctx context.Context, op *operation, out outcome, attempt int, took, wait time.Duration, v verdict) {
	if c.logger == nil || !c.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	if !v.again {
		wait = 0
	}
	c.logger.LogAttrs(ctx, slog.LevelDebug, "fastly: attempt",
		slog.String("method", op.method),
		slog.String("path", op.path),
		slog.Int("status", out.status),
		slog.String("outcome", out.event.String()),
		slog.Duration("duration", took),
		slog.Int("attempt", attempt),
		slog.Duration("wait", wait),
	)
}
