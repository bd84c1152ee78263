package fastly

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"
)

// RetryPolicy bounds the number of retries and the waits before them. The package comment says
// which requests are retried; the README lists every case. The zero value of a field means its
// default; a negative one is an error of [NewClient].
//
// An [http.Transport] may retry by itself, uncounted: a read over HTTP/2; over HTTP/1, a request of
// which no byte was sent, and a read that got no response on a reused connection.
type RetryPolicy struct {
	MaxAttempts int // in total; default 4; 1 disables retries
	// MinBackoff and MaxBackoff set the exponential backoff with full jitter: the wait before the
	// nth retry is random, up to MinBackoff doubled n-1 times, at most MaxBackoff. The defaults are
	// 250 ms and 8 s; a default that contradicts the other field takes its value.
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
type class int

const (
	classDone        class = iota // 2xx, read and understood
	classNotSent                  // a DNS, dial or TLS failure that may be temporary
	classNoResponse               // sent, and then no response, or none in time
	classServerError              // 500, 502, 503, 504
	classTruncated                // 2xx with part of its body
	classRateLimited              // 429
	classClientError              // any other 4xx
	classAmbiguous                // a response that proves nothing
	classPermanent                // not applied, and would fail again
)

func (c class) String() string {
	return [...]string{
		"done", "not sent", "no response", "server error", "truncated",
		"rate limited", "client error", "ambiguous", "permanent",
	}[c]
}

// maybeProcessed reports whether the API may have processed a request that is worth a retry.
func (c class) maybeProcessed() bool { return c == classNoResponse || c == classServerError }

type decision struct {
	retry   bool // attempts and time permitting
	done    bool // the operation is complete, whatever the response
	unknown bool // the error matches ErrOutcomeUnknown
}

// decide is the retry policy; the table in the README documents it. key says when the credential
// may become another one; maybeProcessed, that an earlier attempt may have been processed.
func decide(k kind, key changes, c class, status int, maybeProcessed bool) decision {
	create, read := k == kindCreate, k == kindRead
	unpinned := k == kindRevokeCurrent && key == changesPerAttempt // "current" may become another token
	switch c {
	case classDone:
		return decision{done: true}
	case classNotSent, classRateLimited:
		return decision{retry: true}
	case classNoResponse, classServerError:
		unknown := create || unpinned
		return decision{retry: !unknown, unknown: unknown}
	case classTruncated:
		return decision{retry: read, unknown: create, done: !read && !create}
	case classAmbiguous:
		return decision{unknown: create}
	case classClientError: // the token, or the key, may be gone because an earlier attempt revoked it
		unauthorized, notFound := status == http.StatusUnauthorized, status == http.StatusNotFound
		switch {
		case !maybeProcessed, unpinned:
		case k == kindRevoke:
			return decision{done: notFound, unknown: unauthorized}
		case k == kindRevokeCurrent: // a key that may not revoke itself gets a 403 as well
			return decision{done: notFound || unauthorized, unknown: status == http.StatusForbidden}
		case k == kindRevokeBulk:
			return decision{unknown: notFound || unauthorized}
		}
	}
	return decision{}
}

// classifyStatus classifies a response that is not a 2xx.
func classifyStatus(status int) class {
	switch {
	case status == http.StatusTooManyRequests:
		return classRateLimited
	case status == http.StatusInternalServerError, status == http.StatusBadGateway,
		status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return classServerError
	case status/100 == 4:
		return classClientError
	case status/100 == 3 && status != http.StatusSeeOther: // RFC 9110, section 15.4.4: processed
		return classPermanent
	}
	return classAmbiguous
}

// classifyDecoding classifies a 2xx by the error of reading it.
func classifyDecoding(err error) class {
	switch {
	case err == nil:
		return classDone
	case isA[*truncatedError](err):
		return classTruncated
	}
	if recovered, ok := errors.AsType[*recoveredError](err); ok && !recovered.unverified {
		return classPermanent // the token is known to exist
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
// was rejected, the host does not exist, or its certificate or TLS is wrong.
func isPermanent(err error) bool {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.IsNotFound
	}
	// If a proxy refuses a CONNECT, net/http's error is the status text alone.
	if text := err.Error(); text == http.StatusText(http.StatusProxyAuthRequired) || text == http.StatusText(http.StatusForbidden) {
		return true
	}
	return isA[*rejectedError](err) || isA[*tls.CertificateVerificationError](err) || isA[tls.RecordHeaderError](err)
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// retryDelay returns the wait before the nth retry, n from 1: what the server asked for plus
// jitter, or the backoff. chance is a random number in [0,1).
func retryDelay(p RetryPolicy, serverDelay time.Duration, n int, chance float64) time.Duration {
	if serverDelay > 0 {
		return serverDelay + time.Duration(chance*float64(max(serverDelay/10, 250*time.Millisecond)))
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
