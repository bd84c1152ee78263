package fastly

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly/internal/terminal"
)

// GenericTokenError is a response that is not a 2xx. Msg, Detail, Code, Header and Body are
// untrusted text: escape them before showing them, as Error does. A field, or a value of Header,
// that holds an access token or a secret of the request is [REDACTED] as a whole, so a password
// that is an ordinary word of 8 characters or more can withhold a message.
//
// One that a program makes, for a mock, matches sentinels by StatusCode, Code, Msg and Detail.
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
	// Header has at most 64 fields of the response header, values joined by ", " to at most 1 KiB
	// each, without Set-Cookie and without the query of Location and of Fastly-SSO-Login-Url.
	// Fastly's support asks for X-Served-By and X-Timer.
	Header http.Header
	Body   string // of the response, at most 64 KiB

	form       form
	meaning    error // the sentinel of its text, before anything was redacted
	received   time.Time
	redirectTo string // the host that a 3xx points at
	login      bool   // the request was a create with a user name and password of its own
	basic      bool   // it was no create, but authenticated as one
	cut        bool   // the body is not whole
	holdsToken bool   // a create's response has what may be the new access token
	call       callContext
}

// callContext is what an error says about the call that it ended.
type callContext struct {
	origin   string // the host that gets the credentials
	attempts int
	hint     string
	unknown  bool // it is not known whether the request was processed
}

// Error returns one line: what the response says, escaped and truncated to 1 KiB, and what to do
// next if that is known.
func (e *GenericTokenError) Error() string {
	text := fmt.Sprintf("fastly: %s %s: %d %s", e.Method, e.Path, e.StatusCode, sanitize(e.message()))
	return e.call.describe(text, e.statusHint(), e.clockHint(), e.retryHint())
}

// describe adds the number of attempts and the hints to the text of an error.
func (c callContext) describe(text string, hints ...string) string {
	if c.attempts > 1 {
		text += " (after " + strconv.Itoa(c.attempts) + " attempts)"
	}
	for _, hint := range append(hints, c.hint) {
		if hint != "" {
			text += "; " + hint
		}
	}
	return text
}

// message is what the response says, or else what the status means.
func (e *GenericTokenError) message() string {
	if e.redirectTo != "" {
		return "redirect to " + e.redirectTo + " not followed"
	}
	text, body := cmp.Or(e.Msg, e.Detail), strings.TrimSpace(e.Body)
	if e.Detail != "" && e.Detail != text {
		text += ": " + e.Detail
	}
	if text == "" && e.Code == "" && !strings.HasPrefix(body, "<") {
		text = body
	}
	text = strings.TrimSpace(text)
	last := cmp.Or(e.Detail, text)
	if e.cut && text != "" && strings.HasSuffix(body, last) {
		text += "…"
	}
	text = cmp.Or(text, http.StatusText(e.StatusCode), "(no reason given)")
	if e.Code != "" && e.Code != e.Msg {
		text += " (" + e.Code + ")"
	}
	return text
}

var sentinelHints = map[error]string{
	ErrOTPRequired:        "send the account's current one-time password",
	ErrSudoRequired:       "confirm the API key by POST /sudo first",
	ErrInvalidScope:       "use one of the scopes global, purge_select, purge_all and global:read",
	ErrAccountLocked:      "unlock the account in the Fastly web interface, or wait",
	ErrTokenExpired:       "use another API token: this one has expired",
	ErrInvalidCredentials: "check that the credentials are right, and neither expired nor revoked",
}

// statusHint says what to do about the response.
func (e *GenericTokenError) statusHint() string {
	sentinel, status := e.sentinel(), e.StatusCode
	switch {
	case e.redirectTo != "" && e.redirectTo == e.call.origin:
		return "the API does not redirect: check the base URL"
	case e.redirectTo != "":
		return "credentials are only sent to " + e.call.origin + ": check the base URL"
	case status/100 == 4 && e.Header.Get("Fastly-SSO-Login-Url") != "":
		return "the user logs in by single sign-on: create a token in the Fastly web interface"
	case status/100 == 4 && strings.EqualFold(e.Header.Get("Fastly-OTP"), "setup"):
		return "set up two-factor authentication in the Fastly web interface first"
	case status/100 == 4 && strings.EqualFold(e.Header.Get("Fastly-Password"), "rotate"):
		return "set a new password in the Fastly web interface first"
	case e.isForeign():
		return "something between the program and the API answered"
	case errors.Is(sentinel, ErrSudoRequired) && e.login:
		return "a login should need no confirmation: use an API key after POST /sudo"
	case errors.Is(sentinel, ErrSudoRequired) && e.Method == http.MethodPost:
		return "create with a user name and password, or " + sentinelHints[sentinel]
	case status == http.StatusUnauthorized && e.basic:
		return "the API accepts a user name and password for creates only: use an API key"
	case sentinel != nil:
		return sentinelHints[sentinel]
	case status == http.StatusUnauthorized:
		return sentinelHints[ErrInvalidCredentials]
	case status == http.StatusForbidden:
		return "use a token whose scope and user may do this"
	}
	return ""
}

// clockHint names a wrong clock as the cause of a refused expiry.
func (e *GenericTokenError) clockHint() string {
	refused := e.StatusCode == http.StatusUnprocessableEntity || e.StatusCode == http.StatusBadRequest
	if !refused || e.received.IsZero() || !strings.Contains(e.message(), "expires_at") {
		return ""
	}
	return clockHint(e.Header, e.received)
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
	err, ended := out.err, ctx.Err()
	var text string
	e := out.response
	switch {
	case e == nil:
		text = reason(err)
	case ended == nil:
		e.call = call
		return e
	default:
		e.call, err = call, e
		text = fmt.Sprintf("%v; the last response was %d %s", ended, e.StatusCode, e.message())
	}
	if ended != nil {
		err = errors.Join(contextError(ctx), err)
	}
	return op.newError(text, err, call)
}

func (op *operation) newError(text string, err error, call callContext) error {
	text = call.describe("fastly: " + op.method + " " + op.path + ": " + sanitize(text))
	return &requestError{text, err, call.unknown}
}

// recoveryHint says what to do about a request that may have been processed.
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
	case maybeProcessed && op.kind != kindRead && op.kind != kindCreate:
		return "the token may be revoked nevertheless; revoking again by ID is safe"
	}
	return ""
}

// reason is the text of an error of the transport or of a decoder.
func reason(err error) string {
	text := err.Error()
	switch {
	case isUnprocessed(err):
		return "the server closed the HTTP/2 stream before it processed the request"
	case isPlainHTTP(err):
		return "the server does not speak TLS (is it plain http?): check the base URL"
	case text == io.EOF.Error():
		return "the connection was closed before a response came"
	case text == context.DeadlineExceeded.Error():
		return "no response in time"
	}
	return strings.TrimPrefix(text, "fastly: ")
}

// contextError matches both the error and the cause of a context that ended.
func contextError(ctx context.Context) error { return errors.Join(ctx.Err(), context.Cause(ctx)) }

// requestError is the error of a call that got no usable response.
type requestError struct {
	text    string
	err     error
	unknown bool
}

func (e *requestError) Error() string { return e.text }
func (e *requestError) Unwrap() error { return e.err }

// Is makes [errors.Is] find ErrOutcomeUnknown.
func (e *requestError) Is(target error) bool { return target == ErrOutcomeUnknown && e.unknown }

// invalid returns an error about an option or argument that can't be right.
func invalid(format string, args ...any) error {
	return fmt.Errorf("fastly: %w: %s", ErrInvalidArgument, fmt.Sprintf(format, args...))
}

// sanitize makes untrusted text safe to print: escaped, and at most 1 KiB.
func sanitize(s string) string { return terminal.Truncate(terminal.Escape(s), 1<<10) }
