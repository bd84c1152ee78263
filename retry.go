package fastly

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"time"

	"github.com/fastly-tokens/fastly/internal/neterr"
)

// RetryPolicy bounds the number of retries and the waits before them. The package comment says
// which requests are retried; docs/retries.md lists every case. The zero value of a field means its
// default; a negative one is an error of [NewClient].
//
// An [http.Transport] may retry by itself, uncounted: a read over HTTP/2; over HTTP/1, a request of
// which no byte was sent, and a read that got no response on a reused connection.
type RetryPolicy struct {
	MaxAttempts int // in total; default 4; 1 disables retries
	// MinBackoff and MaxBackoff set the exponential backoff with full jitter: the wait before the
	// nth retry is random, up to MinBackoff doubled n-1 times, at most MaxBackoff. The defaults are
	// 250 ms and 8 s; a default that contradicts the other field takes that field's value.
	MinBackoff, MaxBackoff time.Duration
	// MaxWait is the longest wait, default 30 s; if the API asks for more, a call fails immediately.
	MaxWait time.Duration
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	const minBackoff = 250 * time.Millisecond
	p.MaxAttempts = cmp.Or(p.MaxAttempts, 4)
	p.MinBackoff = cmp.Or(p.MinBackoff, min(minBackoff, cmp.Or(p.MaxBackoff, minBackoff)))
	p.MaxWait = cmp.Or(p.MaxWait, 30*time.Second)
	p.MaxBackoff = min(cmp.Or(p.MaxBackoff, max(8*time.Second, p.MinBackoff)), p.MaxWait)
	return p
}

func (p RetryPolicy) check() error {
	switch {
	case p.MaxAttempts < 0:
		return invalid("RetryPolicy.MaxAttempts is negative; 1 disables retries")
	case p.MinBackoff < 0 || p.MaxBackoff < 0 || p.MaxWait < 0:
		return invalid("a duration of the RetryPolicy is negative")
	case p.MaxBackoff > 0 && p.MinBackoff > p.MaxBackoff:
		return invalid("RetryPolicy.MinBackoff is longer than MaxBackoff")
	}
	return nil
}

// kind classifies operations for retries.
type kind int

const (
	kindRead kind = iota
	kindRevoke
	kindRevokeCurrent
	kindRevokeBulk
	kindCreate
)

// class classifies the outcome of an attempt.
type class string

const (
	classDone        class = "done"         // 2xx, read and understood
	classNotSent     class = "not sent"     // a DNS, dial or TLS failure that may be temporary
	classNoResponse  class = "no response"  // sent, and then no response, or none in time
	classServerError class = "server error" // 408, 500, 502, 503, 504
	classTruncated   class = "truncated"    // 2xx with part of its body
	classRateLimited class = "rate limited" // 429
	classClientError class = "client error" // any other 4xx that is surely the API's
	classAmbiguous   class = "ambiguous"    // a response that proves nothing, perhaps not the API's
	classPermanent   class = "permanent"    // not processed, and would fail again
)

// maybeProcessed reports whether the API may have processed the request.
func (c class) maybeProcessed() bool {
	return c == classNoResponse || c == classServerError || c == classTruncated || c == classAmbiguous
}

type decision struct {
	retry   bool // attempts and time permitting
	done    bool // the operation is complete, whatever the response
	unknown bool // the error, if the call ends with one, matches ErrOutcomeUnknown
}

// decide is the retry policy; docs/retries.md has it as a table. key says when the credential may
// become another one; earlier, that an earlier attempt may have been processed.
func decide(k kind, key changes, c class, status int, earlier bool) (d decision) {
	create, read, current := k == kindCreate, k == kindRead, k == kindRevokeCurrent
	unpinned := current && key == changesPerAttempt
	unauthorized, notFound := status == http.StatusUnauthorized, status == http.StatusNotFound
	switch c {
	case classDone:
		d.done = true
	case classNotSent, classRateLimited:
		d.retry = true
	case classNoResponse, classServerError:
		d.retry = !create && !unpinned
	case classTruncated:
		d.retry, d.done = read, !read && !create
	case classClientError: // the token, or the key, may be gone because an earlier attempt revoked it
		switch {
		case !earlier, unpinned:
		case k == kindRevoke:
			d.done, d.unknown = notFound, unauthorized
		case current: // a key that may not revoke itself gets a 403 as well
			d.done, d.unknown = notFound || unauthorized, status == http.StatusForbidden
		case k == kindRevokeBulk:
			d.unknown = notFound || unauthorized
		}
	}
	// Repeated, these would make another token, or revoke another one.
	if create || current && key != changesNever {
		d.unknown = !d.done && (earlier || c.maybeProcessed())
	}
	return d
}

// classifyStatus classifies a response that is not a 2xx.
func classifyStatus(status int) class {
	switch {
	case status == http.StatusTooManyRequests:
		return classRateLimited
	case status == http.StatusRequestTimeout, status == http.StatusInternalServerError,
		status >= http.StatusBadGateway && status <= http.StatusGatewayTimeout:
		return classServerError
	case status == http.StatusProxyAuthRequired, // the proxy has not passed it on
		status/100 == 3 && status != http.StatusSeeOther: // RFC 9110, section 15.4.4: processed
		return classPermanent
	case status/100 == 4:
		return classClientError
	}
	return classAmbiguous
}

// classifyFailure classifies an attempt that got no response.
func classifyFailure(err error, sent bool) class {
	switch {
	case sent:
		return classNoResponse
	case isPermanent(err):
		return classPermanent
	}
	return classNotSent
}

// isPermanent reports whether err, of a request that was not sent, is likely to recur: the request
// was rejected, or the server's certificate or TLS is wrong.
func isPermanent(err error) bool {
	text := err.Error() // all that net/http says of a CONNECT that a proxy refuses
	return text == http.StatusText(http.StatusProxyAuthRequired) ||
		text == http.StatusText(http.StatusForbidden) ||
		isA[*rejectedError](err) || isA[*tls.CertificateVerificationError](err) || neterr.IsPlainHTTP(err)
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// retryDelay returns the wait before the nth retry, n from 1: what the server asked for plus
// jitter, or the backoff. chance is a random number in [0,1).
func retryDelay(p RetryPolicy, serverDelay time.Duration, n int, chance float64) time.Duration {
	if serverDelay > 0 {
		jitter := time.Duration(chance * float64(max(serverDelay/10, 250*time.Millisecond)))
		return min(serverDelay+jitter, max(serverDelay, p.MaxWait))
	}
	limit := p.MinBackoff
	for ; n > 1 && limit < p.MaxBackoff; n-- {
		limit *= 2
	}
	return time.Duration(chance * float64(min(limit, p.MaxBackoff)))
}

// canWait reports whether the wait d is allowed, and ends before ctx does.
func canWait(ctx context.Context, p RetryPolicy, serverDelay, d time.Duration, now time.Time) bool {
	deadline, ok := ctx.Deadline()
	return serverDelay <= p.MaxWait && (!ok || now.Add(d).Before(deadline))
}
