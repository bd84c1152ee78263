// Package tolerant reads what servers, and what stands between them and a client, send in place of
// what the RFCs say, and copes with transports that break their contract.
package tolerant

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter is the longest time that [RetryAfter] returns.
const MaxRetryAfter = 365 * 24 * time.Hour

// RetryAfter reads a Retry-After header: seconds or an HTTP date (RFC 9110, section 10.2.3),
// or what servers send in their place: fractions, a unit, another form of date, a list. Zero means
// that it can't be read, or is over.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.Trim(value, " \t\"")
	number, _, _ := strings.Cut(value, ",")
	seconds, err := strconv.ParseFloat(strings.TrimRight(number, " second"), 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // then seconds is infinite
		if seconds > 0 {
			return time.Duration(min(seconds, MaxRetryAfter.Seconds()) * float64(time.Second))
		}
		return 0
	}
	at, err := http.ParseTime(strings.Replace(value, "UTC", "GMT", 1))
	if err != nil {
		at, err = time.Parse(time.RFC1123Z, value)
	}
	if err != nil {
		at, _ = Time(value) // else the zero time, long past
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter)
}

// Time reads a time of RFC 3339, or what comes close to it: a space for the T or before the
// zone, a zone without its colon or minutes, UTC for Z.
func Time(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err == nil {
		return t, nil
	}
	text = strings.ToUpper(text)
	for _, separator := range []string{"T", " "} {
		for _, zone := range []string{"Z07:00", "Z0700", "Z07", "UTC", " Z07:00", " Z0700", " Z07", " UTC"} {
			t, looseErr := time.Parse("2006-01-02"+separator+"15:04:05"+zone, text)
			if looseErr == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, err
}

// HasNextPage reports whether a Link header has the relation "next" (RFC 8288, section 3). Fastly
// has split other lists into pages.
func HasNextPage(h http.Header) bool {
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
