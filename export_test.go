package fastly

import (
	"context"
	"time"
)

// Pure functions, whose tables of cases need no server.
var (
	ClassifyStatus   = classifyStatus
	DefaultTransport = defaultTransport
)

// RedactTokens is redact for secrets that are redacted anywhere.
func RedactTokens(text string, tokens ...string) string {
	var s secrets
	for _, token := range tokens {
		s = s.with(minToken, Secret(token))
	}
	return s.inForms().redact(text)
}

// WithholdsTokens reports whether a text in which there may be access tokens is withheld.
func WithholdsTokens(text string) bool {
	return secrets{tokens: true}.redact(text) != text
}

type (
	Kind    = kind
	Changes = changes
	Class   = class
)

const (
	KindRead          = kindRead
	KindRevoke        = kindRevoke
	KindRevokeCurrent = kindRevokeCurrent
	KindRevokeBulk    = kindRevokeBulk
	KindCreate        = kindCreate

	ChangesNever      = changesNever
	ChangesPerCall    = changesPerCall
	ChangesPerAttempt = changesPerAttempt

	ClassDone        = classDone
	ClassNotSent     = classNotSent
	ClassNoResponse  = classNoResponse
	ClassServerError = classServerError
	ClassTruncated   = classTruncated
	ClassRateLimited = classRateLimited
	ClassClientError = classClientError
	ClassAmbiguous   = classAmbiguous
	ClassPermanent   = classPermanent
)

// Decide is decide with its decision in words: retry, done, unknown, fail, or
// retry*, which is unknown if there can't be another attempt.
func Decide(k Kind, key Changes, c Class, status int, maybeProcessed bool) string {
	switch decide(k, key, c, status, maybeProcessed) {
	case decision{retry: true}:
		return "retry"
	case decision{retry: true, unknown: true}:
		return "retry*"
	case decision{done: true}:
		return "done"
	case decision{unknown: true}:
		return "unknown"
	case decision{}:
		return "fail"
	}
	return "a contradiction"
}

func RetryDelay(p RetryPolicy, serverDelay time.Duration, n int, chance float64) time.Duration {
	return retryDelay(p, serverDelay, n, chance)
}

func WithDefaults(p RetryPolicy) RetryPolicy { return p.withDefaults() }

// HookSleep replaces the waits between attempts.
func HookSleep(c *Client, sleep func(context.Context, time.Duration) error) { c.sleep = sleep }

// HookJitter replaces the random numbers of the jitter, in [0,1).
func HookJitter(c *Client, random func() float64) { c.random = random }

// HookNow replaces the client's clock.
func HookNow(c *Client, now func() time.Time) { c.now = now }

// HookTimeout replaces the time to wait for a response header, and for more of a
// body.
func HookTimeout(c *Client, d time.Duration) { c.timeout, c.silence = 0, d }
