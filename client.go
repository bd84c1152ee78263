package fastly

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
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
	transport http.RoundTripper
	timeout   time.Duration // of an attempt; zero: none
	silence   time.Duration // bounds each read of a response, unless zero
	userAgent []string
	rateLimit atomic.Pointer[RateLimit]
	http1     atomic.Bool // the last response came over HTTP/1
	now       func() time.Time
	sleep     func(context.Context, time.Duration) error
	random    func() float64
}

// NewClientFromEnv is [NewClient] with the API key from the environment variable
// FASTLY_API_TOKEN, else FASTLY_API_KEY, and the base URL from FASTLY_API_URL if set. It reads them
// once. Options take precedence. The error for a missing or bad value names the variable.
func NewClientFromEnv(opts ...Option) (*Client, error) {
	return NewClient(append(slices.Clip(opts), withEnv)...)
}

// NewClient returns a client for the API. It needs exactly one of [WithAPIKey], [WithAPIKeyFunc],
// [WithBasicAuth], [WithoutAuthentication] and [WithTransport]. The error is that of the first
// invalid option, and matches [ErrInvalidArgument].
func NewClient(opts ...Option) (*Client, error) {
	var c config
	for _, opt := range append(slices.Clip(opts), (*config).complete) {
		if opt == nil {
			return nil, invalid("an option is nil")
		}
		if err := opt(&c); err != nil {
			return nil, err
		}
	}
	client := &Client{
		config:    c,
		timeout:   c.client.Timeout,
		userAgent: []string{strings.TrimSpace(c.product + " " + libraryProduct)},
		now:       time.Now, sleep: clock.Sleep, random: rand.Float64,
	}
	if c.client.Transport == nil && c.client.Timeout == 0 {
		client.timeout, client.silence = defaultTimeout, defaultTimeout
	}
	if client.transport = cmp.Or(c.own, c.client.Transport); client.transport == nil {
		client.transport = defaultTransport()
	}
	client.Tokens = &TokensService{client: client}
	return client, nil
}

// RateLimit returns the rate limit of the last response that had one, and whether there was one.
func (c *Client) RateLimit() (rl RateLimit, ok bool) {
	if last := c.rateLimit.Load(); last != nil {
		return *last, true
	}
	return rl, false
}

// CloseIdleConnections closes connections that are kept for later calls, as
// [http.Client.CloseIdleConnections] does. Only a program that makes many clients needs it, when
// done with each.
func (c *Client) CloseIdleConnections() {
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

type outcome struct {
	result   result
	status   int                // zero: no response
	response *GenericTokenError // if not a 2xx
	err      error              // any other failure
	delay    time.Duration      // that the server asked for
}

// do performs an operation: it makes attempts as decide allows, until a response can be decoded or
// an error says why not. A value may come with an error.
func do[T any](ctx context.Context, s *TokensService, op operation, decode func(*http.Response) (T, error)) (value T, err error) {
	c, err := s.ready(ctx, &op)
	if err != nil {
		return value, err
	}
	maybeApplied := false
	for attempt := 1; ; attempt++ {
		start := c.now()
		out := c.attempt(ctx, &op, func(resp *http.Response) (err error) {
			value, err = decode(resp)
			return err
		})
		d := decide(op.kind, out.result, out.status, maybeApplied)
		maybeApplied = maybeApplied || out.result.maybeApplied()
		wait := retryDelay(c.policy, out.delay, attempt, c.random())
		d.retry = d.retry && ctx.Err() == nil && attempt < c.policy.MaxAttempts && canWait(ctx, c.policy, out.delay, wait, c.now())
		if !d.retry {
			wait = 0
		}
		c.log(ctx, &op, out, attempt, c.now().Sub(start), wait)
		switch {
		case d.done:
			return value, nil
		case !d.retry || c.sleep(ctx, wait) != nil:
			hint := op.recoveryHint(out, d.unknown, maybeApplied)
			return value, op.failure(ctx, out, callContext{c.base.Host, attempt, hint, d.unknown})
		}
	}
}

// attempt sends the operation once. Key and one-time password functions get the context of the
// call, not of the attempt: a person may be typing.
func (c *Client) attempt(ctx context.Context, op *operation, decode func(*http.Response) error) outcome {
	otp, err := c.credentials(ctx, op)
	if err != nil {
		return outcome{result: resultPermanent, err: err}
	}
	secrets := op.cred.secrets.with(minToken, otp).with(minPassword, op.password)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tracked, progress := track(ctx, cancel, op.kind, c.http1.Load())
	var timer *time.Timer
	if c.timeout > 0 {
		timer = time.AfterFunc(c.timeout, func() { cancel(context.DeadlineExceeded) })
		defer timer.Stop()
	}
	req := c.newRequest(tracked, op, otp)
	resp, err := roundTrip(c.transport, req)
	if err != nil {
		_, standard := c.transport.(*http.Transport)
		result := classifyFailure(err, progress.sent(err, standard, ctx.Err() != nil))
		if result == resultNoResponse {
			secrets = secrets.withTokens(err.Error()) // net/http quotes a response that is not HTTP
		}
		return outcome{result: result, err: redactError(cmp.Or(context.Cause(ctx), err), secrets)}
	}
	body := &timedBody{ReadCloser: resp.Body, ctx: ctx, timer: timer, silence: c.silence}
	resp.Body = body
	defer resp.Body.Close()
	c.http1.Store(resp.ProtoMajor == 1)
	if jar := c.client.Jar; jar != nil && op.password == "" {
		jar.SetCookies(req.URL, resp.Cookies())
	}
	if c.own != nil {
		secrets = secrets.withSent(resp)
	}
	limit, complete := parseRateLimit(resp.Header)
	if complete {
		last := limit // limit itself would be allocated for every response
		c.rateLimit.Store(&last)
	}
	if resp.StatusCode/100 != 2 {
		e, holdsToken := readError(resp, op, limit, secrets, c.now())
		if holdsToken {
			_ = decode(resp) // for the value; the error is e
			return outcome{result: resultAmbiguous, status: e.StatusCode, response: e, err: &recoveredError{e, true}}
		}
		return outcome{result: e.classify(), status: e.StatusCode, response: e, delay: e.serverDelay()}
	}
	if err = decode(resp); err != nil {
		if ended := cmp.Or(body.err, context.Cause(ctx)); ended != nil && !isA[*foreignError](err) {
			err = &truncatedError{ended, err} // even if the server noticed, and ended the body properly
		}
		err = redactError(err, secrets.withTokens(err.Error()))
		_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBytes) // to its end, so that the connection can be reused
	}
	return outcome{result: classifyDecoding(err), status: resp.StatusCode, err: err}
}

// credentials obtains what authenticates an attempt: op.cred, and a one-time password.
func (c *Client) credentials(ctx context.Context, op *operation) (otp Secret, err error) {
	pinned := op.kind == kindRevokeCurrent && op.cred.header != nil // for another key, "current" is another token
	if c.obtain != nil && op.password == "" && !pinned {
		if op.cred, err = c.obtain(ctx); err == nil {
			err = op.checkNoKey()
		}
		if err != nil {
			return "", err
		}
	}
	if op.otpFunc == nil {
		return op.otp, nil
	}
	otp, err = ask(ctx, "OTP", op.otpFunc)
	return otp, cmp.Or(err, checkVisible("the OTP", otp))
}

func (c *Client) log(ctx context.Context, op *operation, out outcome, attempt int, took, wait time.Duration) {
	defer func() { _ = recover() }() // a handler that panics must not lose a created token
	c.logger.LogAttrs(ctx, slog.LevelDebug, "fastly: attempt",
		slog.String("method", op.method), slog.String("path", op.path),
		slog.Int("status", out.status), slog.String("outcome", out.result.String()),
		slog.Duration("duration", took), slog.Int("attempt", attempt), slog.Duration("wait", wait))
}
