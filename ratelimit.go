package fastly

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
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
		wait = max(wait, parseRetryAfter(value, now))
	}
	if status == http.StatusTooManyRequests && !limit.Reset.IsZero() {
		wait = max(wait, min(limit.Reset.Sub(now), maxRetryAfter))
	}
	return wait
}

const maxRetryAfter = 365 * 24 * time.Hour

// parseRetryAfter reads a Retry-After header: seconds or an HTTP date (RFC 9110, section 10.2.3),
// or what servers send in their place: fractions, a unit, another form of date, a list. Zero means
// that it can't be read, or is over.
func parseRetryAfter(value string, now time.Time) time.Duration {
	value = strings.Trim(value, " \t\"")
	number, _, _ := strings.Cut(value, ",")
	seconds, err := strconv.ParseFloat(strings.TrimRight(number, " seconds"), 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // then seconds is infinite
		if seconds > 0 {
			return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
		}
		return 0
	}
	at, err := http.ParseTime(strings.Replace(value, "UTC", "GMT", 1))
	if err != nil {
		at, err = time.Parse(time.RFC1123Z, value)
	}
	if err != nil {
		at, _ = parseTime(value) // else the zero time, long past
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// parseTime reads a time of RFC 3339, or of what comes close to it: a space for the T or before the
// zone, a zone without its colon or minutes, UTC for Z.
func parseTime(text string) (t time.Time, err error) {
	text = strings.Replace(strings.ToUpper(text), "UTC", "Z", 1)
	date, clock, _ := strings.Cut(strings.Replace(text, "T", " ", 1), " ")
	text = date + "T" + strings.Replace(clock, " ", "", 1)
	for _, zone := range []string{"Z07:00", "Z0700", "Z07"} {
		t, err = time.Parse("2006-01-02T15:04:05"+zone, text)
		if err == nil {
			break
		}
	}
	return t, err
}

// hasNextPage reports whether a Link header has the relation "next" (RFC 8288, section 3). Fastly
// has split other lists into pages.
func hasNextPage(h http.Header) bool {
	for _, links := range h.Values("Link") {
		for param := range strings.SplitSeq(strings.ToLower(links), ";") {
			name, value, _ := strings.Cut(param, "=")
			relations, _, _ := strings.Cut(value, ",") // and another link
			relations = strings.NewReplacer(`"`, " ", "'", " ").Replace(relations)
			if strings.TrimSpace(name) == "rel" && slices.Contains(strings.Fields(relations), "next") {
				return true
			}
		}
	}
	return false
}

// apiClock is the API's clock, as a response showed it; nil is the local clock.
type apiClock struct {
	date     time.Time
	received time.Time // by the local clock
}

// readClock reads the Date of a response, unless a cache may have kept it.
func readClock(h http.Header, received time.Time) *apiClock {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || h.Get("Age") != "" {
		return nil
	}
	return &apiClock{date, received}
}

// at returns the API's time, given the local one. Both local times have a monotonic reading, which
// counts how much time has passed even if the clock is set meanwhile. Some systems stop the
// monotonic clock while the machine sleeps: if it disagrees with the wall clock, what was read
// before is no better than the local time.
func (c *apiClock) at(now time.Time) time.Time {
	if c == nil {
		return now
	}
	elapsed, byWallClock := now.Sub(c.received), now.Round(0).Sub(c.received.Round(0))
	if (byWallClock - elapsed).Abs() > time.Minute {
		return now
	}
	return c.date.Add(elapsed)
}
