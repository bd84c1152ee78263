package fastly

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly/internal/clock"
	"github.com/fastly-tokens/fastly/internal/neterr"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

// GenericTokenError is a response that is not a 2xx. Msg, Detail, Code, Header and Body are
// untrusted text: escape them before showing them, as Error does. A field that holds an access
// token or a secret of the request is [REDACTED] as a whole, and so is a value of Header that holds
// such a secret: a password that is an ordinary word of 8 characters or more can withhold a message.
//
// One that a program makes, for a mock, matches sentinels by StatusCode, Code, Msg and Detail. Use
// [errors.Join] to add ErrOutcomeUnknown or ErrInvalidResponse.
type GenericTokenError struct {
	StatusCode int // the HTTP status, such as 404
	// Msg, Detail and Code are those of the API's JSON, or the title, detail and code of JSON:API or
	// RFC 9457; Detail has further errors, too. For HTML, Msg is the title; for other text, all of
	// it. Empty if missing.
	Msg, Detail, Code string
	Method, Path      string    // of the request, without the base URL's path
	RateLimit         RateLimit // zero if the response carried none
	// RetryAfter is how long to wait, counted from the response: what the Retry-After header says,
	// or for a 429 until the rate limit resets, if that is later. Zero if the response doesn't say.
	RetryAfter time.Duration
	// Header has at most 64 fields of 1 KiB, values joined by ", ". It lacks Set-Cookie, and the query and
	// fragment of Location and Fastly-SSO-Login-Url. Fastly's support asks for X-Served-By and X-Timer.
	Header http.Header
	Body   string // of the response, at most 64 KiB

	foreign    bool    // it has none of the API's forms
	meaning    meaning // found before anything was redacted
	hint       string  // what to do, if that depends on the operation
	received   time.Time
	redirectTo string // the host that a 3xx points at
	cut        bool   // the body is not whole
	call       callContext
}

// callContext is what an error says about the call that it ended.
type callContext struct {
	attempts int
	hint     string
	unknown  bool // it is not known whether the request was processed
}

// Error returns one line: what the response says, escaped, at most 1 KiB, and what to do, if known.
func (e *GenericTokenError) Error() string {
	request := strings.TrimLeft(e.Method+" "+e.Path+": ", " :") // none if a program made e without
	text := fmt.Sprintf("fastly: %s%d %s", request, e.StatusCode, terminal.Line(e.message()))
	return e.call.describe(text, e.statusHint(), e.clockHint(), e.retryHint())
}

func (c callContext) describe(text string, hints ...string) string {
	if c.attempts > 1 {
		text += " (after " + strconv.Itoa(c.attempts) + " attempts)"
	}
	parts := append([]string{text}, append(hints, c.hint)...)
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), "; ")
}

// message is what the response says, or else what the status means.
func (e *GenericTokenError) message() string {
	if e.redirectTo != "" {
		return "redirect to " + e.redirectTo + " not followed"
	}
	text, body := cmp.Or(e.Msg, e.Detail), strings.TrimSpace(e.Body)
	if e.Detail != "" && e.Detail != text {
		text = strings.TrimRight(text, ".") + ": " + e.Detail
	}
	if text == "" && e.Code == "" && !strings.HasPrefix(body, "<") {
		text = body
	}
	text = strings.TrimSpace(text)
	last := cmp.Or(e.Detail, text)
	if e.cut && text != "" && strings.HasSuffix(body, last) {
		text += "…"
	}
	text = cmp.Or(strings.TrimRight(text, "."), http.StatusText(e.StatusCode), "(no reason given)")
	if e.Code != "" && e.Code != e.Msg {
		text += " (" + e.Code + ")"
	}
	return text
}

const notAPI = "something other than the API answered: check the base URL and proxies"
const notAccepted = "check that the credentials are right, and neither expired nor revoked"

var statusHints = map[int]string{
	http.StatusUnauthorized: notAccepted,
	http.StatusForbidden:    "use a token whose scope and user may do this",
}

// statusHint says what to do about the response.
func (e *GenericTokenError) statusHint() string {
	switch {
	case e.redirectTo != "":
		return "the API does not redirect, so nothing was sent there: check the base URL"
	case e.Header.Get("Fastly-SSO-Login-Url") != "":
		return "the user logs in by single sign-on: create a token in the Fastly web interface"
	case strings.EqualFold(e.Header.Get("Fastly-OTP"), "setup"):
		return "set up two-factor authentication in the Fastly web interface first"
	case strings.EqualFold(e.Header.Get("Fastly-Password"), "rotate"):
		return "set a new password in the Fastly web interface first"
	case errors.Is(e.statusSentinel(), ErrInvalidResponse):
		return notAPI
	}
	return cmp.Or(e.hint, e.findMeaning().hint, statusHints[e.StatusCode])
}

// responseHint says what to do about a response that means something else to another operation.
func (op *operation) responseHint(sentinel error, status int) string {
	isSudo, isCreate := errors.Is(sentinel, ErrSudoRequired), op.kind == kindCreate
	switch {
	case isSudo && op.login:
		return "a login should need no confirmation: use an API key after POST /sudo"
	case isSudo && isCreate:
		return "create with a user name and password, or confirm the API key by POST /sudo first"
	case status == http.StatusUnauthorized && !isCreate && op.cred.header["Authorization"] != nil:
		return "a user name and password are for creates: use an API key"
	}
	return ""
}

// clockHint names a wrong clock as the cause of a refused expiry.
func (e *GenericTokenError) clockHint() string {
	isRefused := e.StatusCode == http.StatusUnprocessableEntity || e.StatusCode == http.StatusBadRequest
	ahead := clock.OfServer(e.Header, e.received).Ahead().Round(time.Second)
	isKnown := !e.received.IsZero() // false if a program made e
	if !isRefused || !isKnown || ahead.Abs() <= 2*time.Minute || !strings.Contains(e.message(), "expires_at") {
		return ""
	}
	return fmt.Sprintf("this machine's clock differs from the API's by %s: correct it", ahead.Abs())
}

// retryHint says when a retry makes sense, if the API said so.
func (e *GenericTokenError) retryHint() string {
	if e.RetryAfter <= 0 {
		return ""
	}
	received := cmp.Or(e.received, time.Now()) // a program may have made e
	what := "retry"
	if e.StatusCode == http.StatusTooManyRequests {
		what = "the rate limit resets"
	}
	at := received.Add(e.RetryAfter).UTC().Format(time.RFC3339)
	return fmt.Sprintf("%s at %s (in %s)", what, at, e.RetryAfter.Round(time.Second))
}

// failure builds the error of a call from the outcome of its last attempt.
func (op *operation) failure(ctx context.Context, out outcome, call callContext) error {
	e := out.response
	if e == nil {
		dial, ok := errors.AsType[*net.OpError](out.err)
		if ok && (dial.Op == "dial" || strings.HasSuffix(dial.Op, "connect")) || neterr.IsPlainHTTP(out.err) {
			call.hint = cmp.Or(call.hint, "check the network, proxies and the base URL")
		}
		return op.newError(ctx, reason(out.err), out.err, call)
	}
	e.call = call
	if ctx.Err() == nil {
		return e
	}
	text := fmt.Sprintf("%v; the last response was %d %s", ctx.Err(), e.StatusCode, e.message())
	return op.newError(ctx, text, e, call)
}

// newError returns an error that matches err, and the error and the cause of a context that ended.
func (op *operation) newError(ctx context.Context, text string, err error, call callContext) error {
	text = call.describe("fastly: " + op.method + " " + op.path + ": " + terminal.Line(text))
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), context.Cause(ctx), err)
	}
	return &requestError{text, err, call.unknown}
}

// recoveryHint says what to do if a request may have been processed, or a bulk revoke did nothing.
func (op *operation) recoveryHint(out outcome, unknown, maybeProcessed bool) string {
	switch {
	case out.hint != "":
		return out.hint
	case op.kind == kindCreate && unknown:
		return fmt.Sprintf("a token may have been created: before you create it again, look for "+
			"the name %q in a list of the user's tokens, and revoke what you find and don't hold",
			terminal.Truncate(op.create.Name, 100))
	case op.kind == kindRevokeCurrent && unknown:
		return "the token may have been revoked: check it with another key"
	case unknown:
		return "an earlier attempt may have been processed: list the tokens to see, " +
			"with another key if this one no longer works"
	case op.kind == kindRevokeBulk && maybeProcessed:
		return "the tokens may be revoked nevertheless: list them before you revoke them again, which is then a 404"
	case op.kind == kindRevokeBulk && out.status == http.StatusNotFound:
		return "one of the tokens does not exist, and as far as is known none was revoked: revoke them one by one"
	case maybeProcessed && op.method == http.MethodDelete:
		return "the token may be revoked nevertheless; revoking again by ID is safe"
	}
	return ""
}

// reason is the text of an error of the transport or of a decoder.
func reason(err error) string {
	text := err.Error()
	switch {
	case neterr.IsUnprocessed(err):
		return "the server closed the HTTP/2 stream before it processed the request"
	case neterr.IsPlainHTTP(err):
		return "the server does not speak TLS (is it plain http?)"
	case text == io.EOF.Error():
		return "the connection was closed before a response came"
	case text == context.DeadlineExceeded.Error():
		return "no response in time"
	}
	return strings.TrimPrefix(text, "fastly: ")
}

// requestError is the error of a call that got no usable response.
type requestError struct {
	text    string
	err     error
	unknown bool
}

func (e *requestError) Error() string { return e.text }
func (e *requestError) Unwrap() error { return e.err }

// Is says what [errors.Is] finds beside the wrapped error.
func (e *requestError) Is(target error) bool { return target == ErrOutcomeUnknown && e.unknown }

// invalid returns an error about an option or argument that can't be right.
func invalid(format string, args ...any) error {
	return fmt.Errorf("fastly: %w: %s", ErrInvalidArgument, fmt.Sprintf(format, args...))
}
