package fastly

import (
	"net/http"
	"strconv"
	"time"

	"github.com/fastly-tokens/fastly/internal/tolerant"
)

// RateLimit is the hourly rate limit of a customer. Reads do not count, and their responses have none.
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
	reset, err := strconv.ParseInt(h.Get("Fastly-Ratelimit-Reset"), 10, 64)
	if err == nil && reset >= 0 && reset < year10000 {
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
func retryAfter(status int, h http.Header, limit RateLimit, now time.Time) (wait time.Duration) {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	for _, value := range h.Values("Retry-After") {
		wait = max(wait, tolerant.RetryAfter(value, now))
	}
	if status == http.StatusTooManyRequests && !limit.Reset.IsZero() {
		wait = max(wait, min(limit.Reset.Sub(now), tolerant.MaxRetryAfter))
	}
	return wait
}
