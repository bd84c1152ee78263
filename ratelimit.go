package fastly

import (
	"net/http"
	"strconv"
	"time"
)

// RateLimit is the state of the hourly rate limit. The API counts requests that change something.
// Source: https://www.fastly.com/documentation/reference/api/#rate-limiting
type RateLimit struct {
	Remaining int       // requests left until Reset
	Reset     time.Time // when the count starts again, to the second; zero if not reported
}

// parseRateLimit reads the rate limit. Without the number of remaining requests it is not complete.
func parseRateLimit(h http.Header) (limit RateLimit, complete bool) {
	if h["Fastly-Ratelimit-Reset"] == nil && h["Fastly-Ratelimit-Remaining"] == nil {
		return limit, false // a read
	}
	const year10000 = 253402300800 // a time from then on can't be written as RFC 3339
	if reset, err := strconv.ParseInt(h.Get("Fastly-Ratelimit-Reset"), 10, 64); err == nil && reset >= 0 && reset < year10000 {
		limit.Reset = time.Unix(reset, 0)
	}
	remaining, err := strconv.Atoi(h.Get("Fastly-Ratelimit-Remaining"))
	if err == nil {
		limit.Remaining = remaining
	}
	return limit, err == nil
}

// retryAfter returns how long a response asks to wait: Retry-After, or for a 429 the reset of the
// rate limit if that is later. Times are by the server's clock: the local one may be wrong.
func retryAfter(status int, h http.Header, limit RateLimit, now time.Time) time.Duration {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	wait := parseRetryAfter(h.Get("Retry-After"), now)
	if status == http.StatusTooManyRequests && !limit.Reset.IsZero() {
		wait = max(wait, min(limit.Reset.Sub(now), maxRetryAfter))
	}
	return wait
}

const maxRetryAfter = 365 * 24 * time.Hour

// parseRetryAfter reads a Retry-After header: seconds or an HTTP date (RFC 9110, section 10.2.3).
// Zero means that there is none, or that it can't be read.
func parseRetryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	at, _ := http.ParseTime(value) // else the zero time, long past
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
