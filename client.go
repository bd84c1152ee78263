package fastly

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fastly-tokens/fastly/internal/clock"
)

// DefaultBaseURL is the address of the API, unless [WithBaseURL] replaces it.
const DefaultBaseURL = "https://" + defaultHost

const libraryProduct = "fastly-tokens-go/0.2.0"

// Client talks to the Fastly API, and is safe for concurrent use. [NewClient] and
// [NewClientFromEnv] make one; the zero value fails every call with [ErrInvalidArgument].
type Client struct {
	Tokens *TokensService // the API's operations on tokens

	config
	seen    *seen
	silence time.Duration // of the server, which ends an attempt unless config.timeout does
	now     func() time.Time
	sleep   func(context.Context, time.Duration) error
	random  func() float64
}

// seen is what responses have shown to clients of one base URL that [Client.With] has made.
type seen struct {
	rateLimit atomic.Pointer[RateLimit]
	clock     atomic.Pointer[clock.Server]
}

// NewClientFromEnv is [NewClient] with the API key from the environment variable FASTLY_API_TOKEN,
// else FASTLY_API_KEY, and the base URL from FASTLY_API_URL, where no option gives them. The error
// for a missing or bad value names the variable.
func NewClientFromEnv(opts ...Option) (*Client, error) {
	return NewClient(append(slices.Clip(opts), withEnv)...)
}

// NewClient returns a client for the API. It needs exactly one of [WithAPIKey], [WithAPIKeyFunc],
// [WithBasicAuth], [WithoutAuthentication] and [WithTransport]. The error is that of the first
// invalid option, and matches [ErrInvalidArgument].
func NewClient(opts ...Option) (*Client, error) {
	c := Client{silence: 60 * time.Second, now: time.Now, sleep: clock.Sleep, random: rand.Float64}
	c.userAgent = []string{libraryProduct}
	return c.with(opts)
}

// With returns a client with the settings and connections of c, except for what opts change. An option
// that authenticates replaces the credentials of c; it is an error if c has a [WithTransport], which
// would go on sending its own. A new base URL needs new credentials. The clients share what
// [Client.RateLimit] returns unless their base URLs differ.
func (c *Client) With(opts ...Option) (*Client, error) {
	if c == nil || c.base == nil {
		return nil, invalid("the client has no settings: make it with NewClient")
	}
	return c.with(opts)
}

// with returns a copy of c, changed by opts. The copy starts without base URL, credentials and
// middlewares, and inherits them if opts have given none.
func (c *Client) with(opts []Option) (*Client, error) {
	child := *c
	child.base, child.auth, child.middlewares = nil, authentication{}, nil
	for _, opt := range opts {
		if opt == nil {
			return nil, invalid("an option is nil")
		}
		if err := opt(&child.config); err != nil {
			return nil, err
		}
	}
	if err := child.complete(&c.config); err != nil {
		return nil, err
	}
	if c.base == nil || *c.base != *child.base {
		child.seen = new(seen)
	}
	child.Tokens = &TokensService{client: &child}
	return &child, nil
}

// RateLimit returns the rate limit of the last response that had one, and whether there was one.
func (c *Client) RateLimit() (rl RateLimit, ok bool) {
	if c.seen == nil || c.seen.rateLimit.Load() == nil {
		return rl, false
	}
	return *c.seen.rateLimit.Load(), true
}

// CloseIdleConnections closes connections that are kept for later calls, also for clients of
// [Client.With]. Only a program that makes many clients needs it, when done with each.
func (c *Client) CloseIdleConnections() { closeIdle(c.below) }

// outcome is what became of an attempt.
type outcome struct {
	class    class
	status   int                // zero: no response
	response *GenericTokenError // if not a 2xx
	err      error              // any other failure
	delay    time.Duration      // that the server asked for
	foreign  bool               // a 2xx that is not the API's, even if it was not read to its end
	hint     string             // what to do with an access token that was recovered
}

// do performs an operation: it makes attempts as decide allows, until a response can be decoded or
// an error says why not. A value may come with an error.
func do[T any](ctx context.Context, s *TokensService, op operation, decode func(*http.Response) (T, outcome)) (value T, err error) {
	err = s.ready(ctx, &op)
	if err != nil {
		return value, err
	}
	c, maybeProcessed := s.client, false
	for n := 1; ; n++ {
		var out outcome
		start := c.now()
		value, out = attempt(ctx, c, &op, decode)
		d := decide(op.kind, op.cred.changes, out.class, out.status, maybeProcessed)
		maybeProcessed = maybeProcessed || out.class.maybeProcessed()
		wait := retryDelay(c.policy, out.delay, n, c.random())
		d.retry = d.retry && ctx.Err() == nil && n < c.policy.MaxAttempts && canWait(ctx, c.policy, out.delay, wait, c.now())
		if !d.retry {
			wait = 0
		}
		c.log(ctx, &op, out, n, c.now().Sub(start), wait)
		if d.done {
			return value, nil
		}
		if d.retry {
			err = c.sleep(ctx, wait)
		}
		if !d.retry || err != nil {
			hint := op.recoveryHint(out, d.unknown, maybeProcessed)
			return value, op.failure(ctx, out, callContext{n, hint, d.unknown})
		}
	}
}

// ready returns an error if the operation can't be attempted.
func (s *TokensService) ready(ctx context.Context, op *operation) error {
	switch {
	case s == nil || s.client == nil:
		return invalid("the TokensService belongs to no client: make one with NewClient")
	case ctx == nil:
		return invalid("the context is nil")
	case s.client.auth.obtain == nil && !op.login:
		return invalid("the client has no credentials: use WithAPIKey, or create a token with Username and Password")
	case ctx.Err() != nil:
		return op.newError(ctx, "not sent: "+ctx.Err().Error(), nil, callContext{})
	}
	return nil
}

// attempt sends the operation once, and hands the response to readError or decode. The functions for
// keys and one-time passwords get the context of the call, since a person may be typing.
func attempt[T any](ctx context.Context, c *Client, op *operation, decode func(*http.Response) (T, outcome)) (value T, out outcome) {
	otp, secrets, err := c.credentials(ctx, op)
	if err != nil {
		return value, outcome{class: classPermanent, err: err}
	}
	w := c.watch(ctx, op.kind)
	defer w.stop()
	req := c.newRequest(w.ctx, op, otp)
	resp, err := w.send(req)
	if err != nil {
		out.class = classifyFailure(err, w.sent(err))
		secrets.tokens = out.class == classNoResponse // net/http quotes a response that is not HTTP
		out.err = redactError(cmp.Or(w.ended(), w.viaProxy(req, err, out.class)), secrets)
		return value, out
	}
	defer resp.Body.Close()
	received, limit := c.now(), c.seen.noteRateLimit(resp.Header)
	c.http1.Store(resp.ProtoMajor == 1)
	if resp.StatusCode/100 != 2 {
		out = readError(resp, op, limit, secrets.withSent(resp), received)
		if !out.response.foreign {
			c.seen.noteDate(resp.Header, received)
		}
		return value, out
	}
	value, out = decode(resp)
	out.status = resp.StatusCode
	if out.err == nil {
		c.seen.noteDate(resp.Header, received)
		return value, out
	}
	if ended := w.ended(); ended != nil && !out.foreign {
		out.class, out.err = classTruncated, truncated(ended) // even if the server ended it properly
	}
	secrets = secrets.withSent(resp)
	secrets.tokens = true
	out.err = redactError(out.err, secrets)
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBytes) // to its end, so that the connection can be reused
	return value, out
}

// noteRateLimit notes the rate limit, and returns it.
func (s *seen) noteRateLimit(h http.Header) RateLimit {
	limit, complete := parseRateLimit(h)
	if complete {
		last := limit // limit itself would be allocated for every response
		s.rateLimit.Store(&last)
	}
	return limit
}

// noteDate notes the clock of a response that is the API's.
func (s *seen) noteDate(h http.Header, received time.Time) {
	if shown := clock.OfServer(h, received); shown != nil {
		s.clock.Store(shown)
	}
}

// credentials obtains what authenticates an attempt: op.cred, and a one-time password. secrets are
// all that the request holds.
func (c *Client) credentials(ctx context.Context, op *operation) (otp Secret, secrets secrets, err error) {
	pinned := op.kind == kindRevokeCurrent && op.cred.header != nil // for another key, "current" is another token
	if !op.login && !pinned {
		op.cred, err = c.auth.obtain(ctx)
		if err != nil {
			return "", secrets, err
		}
	}
	if op.create == nil {
		return "", op.cred.secrets, nil
	}
	otp = op.create.OTP
	if op.create.OTPFunc != nil {
		otp, err = ask(ctx, "OTP", op.create.OTPFunc)
	}
	if err == nil && otp != "" {
		err = checkText("the OTP", otp.Reveal(), false)
	}
	return otp, op.cred.secrets.with(minToken, otp).with(minPassword, op.create.Password), err
}

func (c *Client) log(ctx context.Context, op *operation, out outcome, n int, took, wait time.Duration) {
	defer func() { _ = recover() }() // a handler that panics must not lose a created token
	c.logger.LogAttrs(ctx, slog.LevelDebug, "fastly: attempt",
		slog.String("method", op.method), slog.String("path", op.path),
		slog.Int("status", out.status), slog.String("outcome", string(out.class)),
		slog.Duration("duration", took), slog.Int("attempt", n), slog.Duration("wait", wait))
}
