package fastly

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// RetryPolicy says how often and after what wait a request is sent again. What
// is sent again, and what never is, does not depend on it: see the package
// comment, and the table in the README for every case. The zero value of each
// field is its default; a negative one is an error of [NewClient].
//
// Below it, an [http.Transport] may send a request again that a connection it had
// kept did not take, and a read that such a connection did not answer.
type RetryPolicy struct {
	// MaxAttempts is how often a request is sent in all. Default 4; 1 means
	// that nothing is ever sent again.
	MaxAttempts int
	// MinBackoff and MaxBackoff bound the exponential back-off: before the
	// nth retry there is a random wait between zero and MinBackoff doubled
	// n-1 times, at most MaxBackoff. Defaults 250 ms and 8 s; a default gives way
	// if the other one, set, is beyond it.
	MinBackoff, MaxBackoff time.Duration
	// MaxWait is the longest wait that is begun. If the API asks for a longer
	// one (a rate limit can take an hour to reset), the call fails at once.
	// Default 30 s.
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
		return invalid("RetryPolicy.MaxAttempts is negative; 1 means never to retry")
	case p.MinBackoff < 0 || p.MaxBackoff < 0 || p.MaxWait < 0:
		return invalid("a duration of the RetryPolicy is negative")
	case p.MaxBackoff > 0 && p.MinBackoff > p.MaxBackoff:
		return invalid("RetryPolicy.MinBackoff is longer than MaxBackoff")
	}
	return nil
}

// backoff is the wait before the nth retry, n from 1: exponential, with full
// jitter (chance is a random number in [0,1)).
func (p RetryPolicy) backoff(n int, chance float64) time.Duration {
	limit := p.MinBackoff
	for ; n > 1 && limit < p.MaxBackoff; n-- {
		limit *= 2
	}
	return time.Duration(chance * float64(min(limit, p.MaxBackoff)))
}

// kind is what an operation does, as far as doing it twice is concerned.
type kind int

const (
	kindRead kind = iota
	kindRevoke
	kindRevokeCurrent
	kindRevokeBulk
	kindCreate
)

// event is what became of one attempt.
type event int

const (
	eventDone     event = iota // 2xx, read and understood
	eventNotSent               // name, dial or TLS failure that may pass
	eventLost                  // sent; then no answer, or none in time
	eventBusy                  // 500, 502, 503, 504
	eventCut                   // 2xx, but its body broke off
	eventLimited               // 429
	eventRefused               // any other 4xx
	eventUnusable              // an answer that says nothing certain
	eventFailed                // anything that would fail again, nothing done
)

func (e event) String() string {
	return [...]string{"done", "not sent", "lost", "server busy", "cut", "rate limited", "refused", "unusable", "failed"}[e]
}

// verdict is what follows from an event.
type verdict struct {
	again   bool // send again, attempts and time permitting
	done    bool // the operation is complete, whatever the answer
	unknown bool // the error matches ErrOutcomeUnknown
}

// judge is the whole retry policy. The table in the README is its
// documentation; prior says that an earlier attempt may have been carried out.
func judge(k kind, e event, status int, prior bool) verdict {
	switch e {
	case eventDone:
		return verdict{done: true}
	case eventNotSent, eventLimited:
		return verdict{again: true}
	case eventLost, eventBusy:
		return verdict{again: k != kindCreate, unknown: k == kindCreate}
	case eventCut:
		return verdict{
			again:   k == kindRead,
			done:    k != kindRead && k != kindCreate,
			unknown: k == kindCreate,
		}
	case eventRefused:
		if !prior {
			return verdict{}
		}
		switch {
		case k == kindRevokeBulk && status == http.StatusNotFound:
			return verdict{unknown: true}
		case k == kindRevoke && status == http.StatusNotFound:
			return verdict{done: true}
		case k == kindRevokeCurrent && (status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound):
			return verdict{done: true}
		}
	case eventUnusable:
		return verdict{unknown: k == kindCreate}
	case eventFailed:
	}
	return verdict{}
}

// classifyStatus is the event that an answer other than 2xx stands for.
func classifyStatus(status int) event {
	switch {
	case status == http.StatusTooManyRequests:
		return eventLimited
	case status == http.StatusInternalServerError, status == http.StatusBadGateway,
		status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return eventBusy
	case status >= 400 && status < 500:
		return eventRefused
	case status >= 500, status < 200, status == http.StatusSeeOther:
		// See Other is the answer to a POST that was carried out (RFC 9110,
		// section 15.4.4).
		return eventUnusable
	}
	return eventFailed
}

// classifyFailure is the event that a failure to get an answer stands for.
// Whatever is not known to be unsent counts as sent. Nobody watches a read: s is
// nil then.
func classifyFailure(err error, s *sending) event {
	var refused *refusedError
	switch {
	case s != nil && s.got.Load():
		return eventLost
	case errors.As(err, &refused), isLasting(err):
		return eventFailed
	case s != nil && s.asked.Load(), isDialError(err):
		return eventNotSent
	}
	return eventLost
}

// isDialError reports whether err came before there was a connection.
func isDialError(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns)
}

// isLasting reports whether err, of a request that was not sent, will not pass
// by itself: there is no such host, or it is not the one it should be.
func isLasting(err error) bool {
	var (
		dns       *net.DNSError
		verify    *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		cert      x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
	)
	switch {
	case errors.As(err, &dns):
		return dns.IsNotFound
	case errors.As(err, &verify), errors.As(err, &authority), errors.As(err, &hostname),
		errors.As(err, &cert), errors.As(err, &record), errors.As(err, &alert):
		return true
	}
	return false
}

// waitFor is how long to wait before the nth retry. What the API asks for goes
// before the back-off.
func waitFor(p RetryPolicy, asked time.Duration, n int) time.Duration {
	if asked > 0 {
		return asked
	}
	return p.backoff(n, rand.Float64()) //nolint:gosec // jitter is no secret
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
