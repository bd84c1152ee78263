package fastly

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"
)

// RetryPolicy bounds retries: how many, and after which waits. Which requests
// are retried does not depend on it: see the package comment, and the table in
// the README for every case. The zero value of each field means its default; a
// negative value is an error of [NewClient].
//
// An [http.Transport] may retry by itself, uncounted: over HTTP/1 a request of
// which no byte was sent, and a read that a reused connection did not answer.
type RetryPolicy struct {
	// MaxAttempts is the total number of attempts. Default 4; 1 disables
	// retries.
	MaxAttempts int
	// MinBackoff and MaxBackoff bound the exponential backoff, which has full
	// jitter: the wait before the nth retry is random, between zero and
	// MinBackoff doubled n-1 times, at most MaxBackoff. Defaults 250 ms and
	// 8 s; a default yields to the other field if that is beyond it.
	MinBackoff, MaxBackoff time.Duration
	// MaxWait is the longest wait. A call fails immediately if the API asks for
	// a longer one: a rate limit can take an hour to reset. Default 30 s.
	MaxWait time.Duration
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	if p.MaxAttempts == 0 {
		p.MaxAttempts = 4
	}
	if p.MinBackoff == 0 {
		p.MinBackoff = 250 * time.Millisecond
		if p.MaxBackoff > 0 {
			p.MinBackoff = min(p.MinBackoff, p.MaxBackoff)
		}
	}
	if p.MaxBackoff == 0 {
		p.MaxBackoff = max(8*time.Second, p.MinBackoff)
	}
	if p.MaxWait == 0 {
		p.MaxWait = 30 * time.Second
	}
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

// kind is what an operation does, as far as repeating it matters.
type kind int

const (
	kindRead kind = iota
	kindRevoke
	kindRevokeCurrent
	// kindRevokeForeign revokes the token of a key that a transport of the
	// caller's holds: at the next attempt it may be another one.
	kindRevokeForeign
	kindRevokeBulk
	kindCreate
)

// result classifies what became of an attempt.
type result int

const (
	resultDone        result = iota // 2xx, read and understood
	resultNotSent                   // a DNS, dial or TLS failure that may be temporary
	resultNoResponse                // sent, and then no response, or none in time
	resultServerError               // 500, 502, 503, 504
	resultTruncated                 // 2xx whose body broke off
	resultRateLimited               // 429
	resultClientError               // any other 4xx
	resultAmbiguous                 // a response that proves nothing
	resultPermanent                 // not applied, and would fail again
)

func (r result) String() string {
	return [...]string{
		"done", "not sent", "no response", "server error", "truncated",
		"rate limited", "client error", "ambiguous", "permanent",
	}[r]
}

// maybeApplied reports whether the API may have processed the request although
// the result invites a retry.
func (r result) maybeApplied() bool { return r == resultNoResponse || r == resultServerError }

// decision is what follows from a result.
type decision struct {
	retry   bool // attempts and time permitting
	done    bool // the operation is complete, whatever the response
	unknown bool // the error matches ErrOutcomeUnknown
}

// decide is the retry policy; the table in the README documents it.
// maybeApplied says that an earlier attempt may have been processed.
func decide(k kind, r result, status int, maybeApplied bool) decision {
	switch r {
	case resultDone:
		return decision{done: true}
	case resultNotSent, resultRateLimited:
		return decision{retry: true}
	case resultNoResponse, resultServerError:
		if k == kindCreate || k == kindRevokeForeign {
			return decision{unknown: true}
		}
		return decision{retry: true}
	case resultTruncated:
		switch k {
		case kindRead:
			return decision{retry: true}
		case kindCreate:
			return decision{unknown: true}
		}
		return decision{done: true}
	case resultClientError:
		if maybeApplied {
			return decideLater(k, status)
		}
	case resultAmbiguous:
		return decision{unknown: k == kindCreate}
	case resultPermanent:
	}
	return decision{}
}

// decideLater decides on a 4xx after an attempt that may have been processed: the
// token, or the key, may be gone because that attempt revoked it.
func decideLater(k kind, status int) decision {
	unauthorized, notFound := status == http.StatusUnauthorized, status == http.StatusNotFound
	switch k {
	case kindRevoke:
		return decision{done: notFound, unknown: unauthorized}
	case kindRevokeCurrent:
		// A key that may not revoke itself gets a 403 as well.
		return decision{done: notFound || unauthorized, unknown: status == http.StatusForbidden}
	case kindRevokeBulk:
		return decision{unknown: notFound || unauthorized}
	}
	return decision{}
}

// classifyStatus classifies a response that is not a 2xx.
func classifyStatus(status int) result {
	switch {
	case status == http.StatusTooManyRequests:
		return resultRateLimited
	case status == http.StatusInternalServerError, status == http.StatusBadGateway,
		status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return resultServerError
	case status >= 400 && status < 500:
		return resultClientError
	case status >= 500, status < 200, status == http.StatusSeeOther:
		// 303 is the response to a POST that was processed (RFC 9110, section
		// 15.4.4).
		return resultAmbiguous
	}
	return resultPermanent
}

// classifyDecoding classifies a 2xx by the error of reading it.
func classifyDecoding(err error) result {
	if err == nil {
		return resultDone
	}
	if isA[*truncatedError](err) {
		return resultTruncated
	}
	if recovered, ok := errors.AsType[*recoveredError](err); ok && !recovered.unverified {
		return resultPermanent // the token is known to exist
	}
	return resultAmbiguous
}

// classifyFailure classifies an attempt that got no response.
func classifyFailure(err error, p progress) result {
	switch {
	case p == progressSent:
		return resultNoResponse
	case isA[*rejectedError](err), isPermanent(err):
		return resultPermanent
	case p == progressNotSent:
		return resultNotSent
	}
	return resultNoResponse // a transport that reports no progress
}

// isPermanent reports whether err, of a request that was not sent, is likely to
// come again: there is no such host, or it is not the right one.
func isPermanent(err error) bool {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.IsNotFound
	}
	return isA[*tls.CertificateVerificationError](err) || isA[x509.UnknownAuthorityError](err) ||
		isA[x509.HostnameError](err) || isA[x509.CertificateInvalidError](err) ||
		isA[tls.RecordHeaderError](err) || isA[tls.AlertError](err)
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// retryDelay returns the wait before the nth retry, n from 1: the one that the
// server asked for, with jitter on top so that many clients don't return at the
// same moment, else the backoff. chance is a random number in [0,1).
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

// canWait reports whether the wait d is allowed, which the server may have asked
// for, and ends before ctx does.
func canWait(ctx context.Context, p RetryPolicy, serverDelay, d time.Duration, now time.Time) bool {
	deadline, ok := ctx.Deadline()
	return min(cmp.Or(serverDelay, d), d) <= p.MaxWait && (!ok || now.Add(d).Before(deadline))
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
