package fastly

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly/internal/terminal"
)

// Sentinels for [errors.Is], by the status of a response. The error is a [*GenericTokenError].
var (
	ErrBadRequest    = errors.New("fastly: bad request")           // 400
	ErrUnauthorized  = errors.New("fastly: unauthorized")          // 401
	ErrForbidden     = errors.New("fastly: forbidden")             // 403
	ErrNotFound      = errors.New("fastly: not found")             // 404
	ErrUnprocessable = errors.New("fastly: unprocessable content") // 422
	ErrRateLimited   = errors.New("fastly: rate limited")          // 429
	ErrServer        = errors.New("fastly: server error")          // 5xx
)

// Sentinels by the code or message of a response. The error also matches the one of its status.
var (
	ErrOTPRequired        = errors.New("fastly: one-time password required")     // missing or wrong: see [CreateTokenRequest]
	ErrInvalidCredentials = errors.New("fastly: invalid credentials")            // user name, password or API key wrong
	ErrInvalidScope       = errors.New("fastly: invalid scope")                  // unknown to the API
	ErrAccountLocked      = errors.New("fastly: account locked")                 // usually after failed logins
	ErrSudoRequired       = errors.New("fastly: password confirmation required") // of an API key, by POST /sudo
	ErrTokenExpired       = errors.New("fastly: token expired")                  // the API key has expired
)

// ErrInvalidArgument is matched by errors about an option or argument. No request was sent with it.
var ErrInvalidArgument = errors.New("invalid argument")

// ErrOutcomeUnknown is matched by the error of a call that may have been processed, if repeating it
// is unsafe or proves nothing. A create may have left a token that nobody holds: before creating it
// again, look for its name with [TokensService.ListTokensUser]. After a revoke, list what is left.
// A revoke that failed otherwise is safe to repeat, even if it was processed.
var ErrOutcomeUnknown = errors.New("fastly: outcome unknown")

// GenericTokenError is a response of the API that is not a 2xx. Msg, Detail, Code, Header and Body
// are untrusted text: escape them before showing them, as Error does. An access token, and secrets
// of the request that the response repeats, are [REDACTED] in them.
type GenericTokenError struct {
	StatusCode int // the HTTP status, such as 404
	// Msg, Detail and Code are those of the API's JSON, of the first JSON:API error or of RFC 9457
	// (title and detail). For HTML, Msg is the title; for other text, all of it. Empty if missing.
	Msg, Detail, Code string
	Method, Path      string    // of the request, without the base URL's path
	RateLimit         RateLimit // zero if the response carried none
	// RetryAfter is how long to wait, counted from the response: what the Retry-After header says,
	// or for a 429 until the rate limit resets, if that is later. Zero if the response doesn't say.
	RetryAfter time.Duration
	// Header has at most 64 fields of the response header, values joined by ", " to at most 1 KiB
	// each, without Set-Cookie and without the query of Location. Fastly's support asks for X-Served-By and X-Timer.
	Header http.Header
	Body   string // of the response, at most 64 KiB

	received   time.Time
	redirectTo string // the host that a 3xx points at
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
	return e.call.describe(text, e.statusHint(), e.retryHint())
}

// describe adds the number of attempts and the hints to the text of an error.
func (c callContext) describe(text string, hints ...string) string {
	if c.attempts > 1 {
		text += " (after " + strconv.Itoa(c.attempts) + " attempts)"
	}
	parts := slices.DeleteFunc(append([]string{text}, append(hints, c.hint)...), func(part string) bool { return part == "" })
	return strings.Join(parts, "; ")
}

// message is what the API says, or else what the status means.
func (e *GenericTokenError) message() string {
	if e.redirectTo != "" {
		return "redirect to " + e.redirectTo + " not followed"
	}
	text := cmp.Or(e.Msg, e.Detail)
	if e.Detail != "" && e.Detail != text {
		text += ": " + e.Detail
	}
	if body := strings.TrimSpace(e.Body); text == "" && e.Code == "" && !strings.HasPrefix(body, "<") {
		text = body
	}
	text = cmp.Or(strings.TrimSpace(text), http.StatusText(e.StatusCode), "(no reason given)")
	if e.Code != "" && e.Code != e.Msg {
		text += " (" + e.Code + ")"
	}
	return text
}

var sentinelHints = map[error]string{
	ErrOTPRequired:        "send the account's current one-time password in CreateTokenRequest.OTP or OTPFunc",
	ErrSudoRequired:       "confirm the API key by POST /sudo first",
	ErrInvalidScope:       "use ScopeGlobal, ScopePurgeSelect, ScopePurgeAll or ScopeGlobalRead",
	ErrAccountLocked:      "unlock the account in the Fastly web interface, or wait, before another login",
	ErrTokenExpired:       "use another API token: this one has expired",
	ErrInvalidCredentials: "check that the credentials are right, and neither expired nor revoked",
}

func (e *GenericTokenError) statusHint() string {
	sentinel := e.sentinel()
	switch hint := sentinelHints[sentinel]; {
	case errors.Is(sentinel, ErrSudoRequired) && e.Method == http.MethodPost:
		return "create with Username and Password in the CreateTokenRequest, or " + hint
	case hint != "":
		return hint
	case e.redirectTo == e.call.origin && e.redirectTo != "":
		return "the API does not redirect: check the base URL"
	case e.redirectTo != "":
		return "credentials are only sent to " + e.call.origin + ": check the base URL"
	case e.StatusCode == http.StatusUnauthorized:
		return sentinelHints[ErrInvalidCredentials]
	case e.StatusCode == http.StatusForbidden:
		return "use a token whose scope and user may do this"
	}
	return ""
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

// Is reports whether target is a sentinel of this error: that of its status, that of its code or
// message, or [ErrOutcomeUnknown].
func (e *GenericTokenError) Is(target error) bool {
	switch target {
	case ErrServer:
		return e.StatusCode/100 == 5
	case ErrOutcomeUnknown:
		return e.call.unknown
	}
	return target == statusSentinels[e.StatusCode] || target == e.sentinel()
}

var statusSentinels = map[int]error{
	http.StatusBadRequest:          ErrBadRequest,
	http.StatusUnauthorized:        ErrUnauthorized,
	http.StatusForbidden:           ErrForbidden,
	http.StatusNotFound:            ErrNotFound,
	http.StatusUnprocessableEntity: ErrUnprocessable,
	http.StatusTooManyRequests:     ErrRateLimited,
}

var codeSentinels = map[string]error{
	"2fa.verify":     ErrOTPRequired,
	"invalid_grant":  ErrInvalidCredentials,
	"invalid_scope":  ErrInvalidScope,
	"account_locked": ErrAccountLocked,
}

// sentinel returns the error that the body means, or nil. Msg may hold the code.
func (e *GenericTokenError) sentinel() error {
	if err := cmp.Or(codeSentinels[e.Code], codeSentinels[e.Msg]); err != nil {
		return err
	}
	switch text := strings.ToLower(e.message()); {
	case strings.Contains(text, "post /sudo"):
		return ErrSudoRequired
	case e.StatusCode == http.StatusUnauthorized && strings.Contains(text, "expired at"):
		return ErrTokenExpired
	case strings.Contains(text, "credentials are missing or invalid"):
		return ErrInvalidCredentials
	}
	return nil
}

func (e *GenericTokenError) classify() class {
	if e.holdsToken {
		return classAmbiguous // the token may have been created
	}
	if errors.Is(e.sentinel(), ErrSudoRequired) {
		return classPermanent // the key works: nothing has been revoked
	}
	return classifyStatus(e.StatusCode)
}

// serverDelay is the wait before a retry that the API asks for.
func (e *GenericTokenError) serverDelay() time.Duration {
	if e.StatusCode == http.StatusTooManyRequests || e.StatusCode == http.StatusServiceUnavailable {
		return e.RetryAfter
	}
	return 0
}

// failure builds the error of a call from the outcome of its last attempt.
func (op *operation) failure(ctx context.Context, out outcome, call callContext) error {
	err, ended := out.err, ctx.Err()
	var text string
	if response := out.response; response == nil {
		text = reason(err)
	} else {
		response.call = call
		if ended == nil {
			return response
		}
		err, text = response, fmt.Sprintf("%v; the last response was %d %s", ended, response.StatusCode, response.message())
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
	recovered, ok := errors.AsType[*recoveredError](out.err)
	switch {
	case ok && recovered.unverified:
		return "a token was created, and what may be its access token is in the response: test it before you rely on it"
	case ok:
		return "the token was created, and its access token is in the response: keep it, or revoke the token by its ID"
	case out.status == http.StatusUnauthorized && op.cred.header["Authorization"] != nil && op.kind != kindCreate:
		return "the API accepts a user name and password for creates only: use WithAPIKey"
	case !unknown && maybeProcessed && op.kind != kindRead:
		return "the revoke may have been applied nevertheless; revoking again is safe"
	case !unknown:
		return ""
	case op.kind == kindCreate:
		return fmt.Sprintf("a token may have been created: before you create it again, look for the name %q with ListTokensUser, "+
			"and revoke what you find and don't hold", terminal.Truncate(op.name, 100))
	case op.kind == kindRevokeCurrent && op.cred.changes == changesPerAttempt:
		return "the token may have been revoked: check it with another key"
	case out.status == http.StatusUnauthorized:
		return "an earlier attempt may have been processed, and the key itself may be what it revoked: list the tokens with another key"
	case out.status == http.StatusForbidden:
		return "an earlier attempt may have revoked the token: check it with another key"
	}
	return "an earlier attempt may have revoked some or all of the tokens: list them to see"
}

// reason is the text of an error of the transport or of a decoder.
func reason(err error) string {
	if isUnprocessed(err) {
		return "the server closed the HTTP/2 stream before it processed the request"
	}
	switch text := err.Error(); text {
	case io.EOF.Error():
		return "the connection was closed before a response came"
	case context.DeadlineExceeded.Error():
		return "no response in time"
	default:
		return strings.TrimPrefix(text, "fastly: ")
	}
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
