package fastly

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What the API answered, by status. Test for them with [errors.Is]; the answer
// itself is the [GenericTokenError] that [errors.As] finds.
var (
	ErrBadRequest    = errors.New("fastly: bad request")           // 400
	ErrUnauthorized  = errors.New("fastly: unauthorized")          // 401
	ErrForbidden     = errors.New("fastly: forbidden")             // 403
	ErrNotFound      = errors.New("fastly: not found")             // 404
	ErrUnprocessable = errors.New("fastly: unprocessable content") // 422
	ErrRateLimited   = errors.New("fastly: rate limited")          // 429
	ErrServer        = errors.New("fastly: server error")          // 5xx
)

// What the API answered, by the code or message in the body. Such an error
// matches the sentinel of its status too.
var (
	// ErrOTPRequired: the account has two-factor authentication, and the
	// one-time password was missing or wrong. Send the code in
	// [CreateTokenRequest].OTP.
	ErrOTPRequired = errors.New("fastly: one-time password required")
	// ErrInvalidCredentials: the user name, password or API key is wrong.
	ErrInvalidCredentials = errors.New("fastly: invalid credentials")
	// ErrInvalidScope: the API does not know a scope that was asked for.
	ErrInvalidScope = errors.New("fastly: invalid scope")
	// ErrAccountLocked: the account is locked, after failed logins as a rule.
	ErrAccountLocked = errors.New("fastly: account locked")
	// ErrSudoRequired: the account wants its password confirmed first. Send
	// it in [CreateTokenRequest].Username and Password.
	ErrSudoRequired = errors.New("fastly: password confirmation required")
)

// ErrInvalidArgument is what every error about an option or an argument
// matches that was refused before anything was sent.
var ErrInvalidArgument = errors.New("invalid argument")

// ErrOutcomeUnknown is matched by the error of a create whose request may have
// been carried out although no usable answer came: a token may exist that
// nobody holds. Look for it with [TokensService.ListTokensUser] before you
// create again. It is also matched by the error of a bulk revoke that was
// answered 404 after an earlier attempt had been lost.
var ErrOutcomeUnknown = errors.New("fastly: outcome unknown")

// GenericTokenError is every answer of the API that is not a 2xx. Its text is
// one line, of bounded length, and says what to do next where that is known.
//
// Msg, Detail and Code are as the API sent them, whichever of its body shapes
// it used: {"msg","detail","code"}, JSON:API (the first error's title, detail
// and code), RFC 9457 (title and detail), HTML (the page's title) or plain
// text. They and Body come from the network: escape them before they are
// shown, as Error does. Credentials of the request that the answer repeats are
// replaced by [REDACTED].
type GenericTokenError struct {
	// StatusCode is that of HTTP, such as 404.
	StatusCode int
	// Msg, Detail and Code are empty as far as the API sent none.
	Msg    string
	Detail string
	Code   string
	// Method and Path are those of the request, the path without that of the
	// base URL.
	Method string
	Path   string
	// RateLimit is the zero value if the answer carried none.
	RateLimit RateLimit
	// RetryAfter is how long the API asks to wait, counted from its answer.
	// Zero means that it did not say.
	RetryAfter time.Duration
	// Body is the answer's body, at most 64 KiB of it.
	Body string

	received   time.Time
	attempts   int
	redirectTo string // host that a 3xx pointed at
	home       string // host that credentials are for
	hint       string // what to do, if the operation knows more than the status
	unknown    bool
}

// Error returns the answer in one line, control characters escaped, with at
// most 1 KiB of what the API sent.
func (e *GenericTokenError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "fastly: %s %s: %d %s", e.Method, e.Path, e.StatusCode, oneLine(e.said()))
	if e.attempts > 1 {
		fmt.Fprintf(&b, " (after %d attempts)", e.attempts)
	}
	for _, hint := range []string{e.advice(), e.comeBack(), e.hint} {
		if hint != "" {
			b.WriteString("; " + hint)
		}
	}
	return b.String()
}

// said is the answer in the API's words, else in HTTP's.
func (e *GenericTokenError) said() string {
	if e.redirectTo != "" {
		return "redirect to " + e.redirectTo + " not followed"
	}
	text := e.Msg
	if text == "" {
		text = e.Detail
	} else if e.Detail != "" && e.Detail != e.Msg {
		text += ": " + e.Detail
	}
	if body := strings.TrimSpace(e.Body); text == "" && e.Code == "" && !strings.HasPrefix(body, "<") {
		text = body
	}
	if text == "" {
		text = cmp.Or(http.StatusText(e.StatusCode), "(no reason given)")
	}
	if e.Code != "" && e.Code != e.Msg {
		text += " (" + e.Code + ")"
	}
	return text
}

// advice tells a person what to do next.
func (e *GenericTokenError) advice() string {
	switch cause := e.cause(); {
	case errors.Is(cause, ErrOTPRequired):
		return "send the account's current one-time password in CreateTokenRequest.OTP"
	case errors.Is(cause, ErrSudoRequired):
		if e.Method == http.MethodPost {
			return "the account wants its password again: send Username and Password in the CreateTokenRequest, or confirm the password in the Fastly web interface"
		}
		return "the account wants its password again: confirm it in the Fastly web interface, and try again"
	case errors.Is(cause, ErrInvalidScope):
		return "use ScopeGlobal, ScopePurgeSelect, ScopePurgeAll or ScopeGlobalRead"
	case errors.Is(cause, ErrAccountLocked):
		return "unlock the account in the Fastly web interface, or wait, before another login"
	case errors.Is(cause, ErrInvalidCredentials):
		return "check that the credentials are right, and neither expired nor revoked"
	case e.redirectTo == e.home && e.home != "":
		return "the API does not redirect: check the base URL"
	case e.redirectTo != "":
		return "credentials are only sent to " + e.home + ": check the base URL"
	case e.StatusCode == http.StatusUnauthorized:
		return "check that the credentials are right, and neither expired nor revoked"
	case e.StatusCode == http.StatusForbidden:
		return "use a token whose scope and user may do this"
	}
	return ""
}

// comeBack says when another try makes sense, if the API said so.
func (e *GenericTokenError) comeBack() string {
	wait := e.asksToWait()
	if wait == 0 {
		return ""
	}
	what := "come back at"
	if e.StatusCode == http.StatusTooManyRequests {
		what = "the rate limit resets at"
	}
	return fmt.Sprintf("%s %s (in %s)", what, e.arrival().Add(wait).UTC().Format(time.RFC3339), wait.Round(time.Second))
}

// asksToWait is how long the API wants to be left alone, from its answer on:
// past a rate limit until the later of what its two headers say.
func (e *GenericTokenError) asksToWait() time.Duration {
	switch e.StatusCode {
	case http.StatusTooManyRequests:
		if reset := e.RateLimit.Reset; !reset.IsZero() {
			return max(e.RetryAfter, reset.Sub(e.arrival()), 0)
		}
		return e.RetryAfter
	case http.StatusServiceUnavailable:
		return e.RetryAfter
	}
	return 0
}

// arrival is when the answer came: now, for an error that a program made.
func (e *GenericTokenError) arrival() time.Time {
	if e.received.IsZero() {
		return time.Now()
	}
	return e.received
}

// Is makes [errors.Is] find the sentinels: that of the status, that of the code or
// message, and [ErrOutcomeUnknown].
func (e *GenericTokenError) Is(target error) bool {
	switch target {
	case ErrServer:
		return e.StatusCode >= 500 && e.StatusCode <= 599
	case ErrOutcomeUnknown:
		return e.unknown
	}
	return target == statusSentinels[e.StatusCode] || target == e.cause()
}

var statusSentinels = map[int]error{
	http.StatusBadRequest:          ErrBadRequest,
	http.StatusUnauthorized:        ErrUnauthorized,
	http.StatusForbidden:           ErrForbidden,
	http.StatusNotFound:            ErrNotFound,
	http.StatusUnprocessableEntity: ErrUnprocessable,
	http.StatusTooManyRequests:     ErrRateLimited,
}

// cause is the sentinel that the body stands for, or nil. Some deployments put
// the code where the message belongs.
func (e *GenericTokenError) cause() error {
	for _, said := range []string{e.Code, e.Msg} {
		switch said {
		case "2fa.verify":
			return ErrOTPRequired
		case "invalid_grant":
			return ErrInvalidCredentials
		case "invalid_scope":
			return ErrInvalidScope
		case "account_locked":
			return ErrAccountLocked
		}
	}
	switch text := strings.ToLower(e.Msg + " " + e.Detail); {
	case strings.Contains(text, "post /sudo"):
		return ErrSudoRequired
	case strings.Contains(text, "credentials are missing or invalid"):
		return ErrInvalidCredentials
	}
	return nil
}

// callError is a call that failed without an answer that says why: nothing
// came, or what came cannot be used.
type callError struct {
	method, path string
	attempts     int
	text         string
	hint         string
	err          error
	unknown      bool
}

func (e *callError) Error() string {
	text := "fastly: " + e.method + " " + e.path + ": " + e.text
	if e.attempts > 1 {
		text += " (after " + strconv.Itoa(e.attempts) + " attempts)"
	}
	if e.hint != "" {
		text += "; " + e.hint
	}
	return text
}

func (e *callError) Unwrap() error { return e.err }

// Is makes [errors.Is] find ErrOutcomeUnknown.
func (e *callError) Is(target error) bool { return target == ErrOutcomeUnknown && e.unknown }

// invalid is the error for an argument or option that cannot be right.
func invalid(format string, args ...any) error {
	return fmt.Errorf("fastly: %w: %s", ErrInvalidArgument, fmt.Sprintf(format, args...))
}

// maxErrorText bounds how much of a foreign text goes into an error's.
const maxErrorText = 1 << 10

// oneLine makes foreign text safe to print: what is not printable is escaped
// (no terminal sequence, no second log line), and its length is bounded.
func oneLine(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		if b.Len() > maxErrorText {
			return cutText(b.String(), maxErrorText-len("…")) + "…"
		}
	}
	return b.String()
}

// cutText cuts s to at most n bytes, between characters.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
