package fastly_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/fastly-tokens/fastly"
)

func TestRetryAfterHeaderIsSecondsOrADate(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 5, 6, 7, 8, 9, 0, time.UTC)
	const year = 365 * 24 * time.Hour
	for value, want := range map[string]time.Duration{
		"":                                0,
		"0":                               0,
		"1":                               time.Second,
		"120":                             2 * time.Minute,
		"3600":                            time.Hour,
		"-1":                              0,
		"-99999999999999999999999":        0,
		"1.5":                             1500 * time.Millisecond,
		".25":                             250 * time.Millisecond,
		" 1\t":                            time.Second,
		"1, 2":                            time.Second, // two headers that a proxy joined
		"+3":                              3 * time.Second,
		"1s":                              time.Second,
		"30 seconds":                      30 * time.Second,
		`"30"`:                            30 * time.Second,
		"NaN":                             0,
		"Mon, 06 May 2030 07:08:39 UTC":   30 * time.Second,
		"Mon, 06 May 2030 09:08:39 +0200": 30 * time.Second,
		" Mon, 06 May 2030 07:08:39 GMT ": 30 * time.Second,
		"2030-05-06 07:08:39 UTC":         30 * time.Second,
		"soon":                            0,
		"31536000":                        year,
		"31536001":                        year,
		"18446744073709551615":            year,
		"18446744073709551616":            year, // more than an integer holds
		strings.Repeat("9", 400):          year, // more than a floating-point number holds
		"Mon, 06 May 2030 07:08:39 GMT":   30 * time.Second,
		"Monday, 06-May-30 07:08:39 GMT":  30 * time.Second, // RFC 850
		"Mon May  6 07:08:39 2030":        30 * time.Second, // asctime
		"Mon, 06 May 2030 07:08:09 GMT":   0,
		"Mon, 06 May 2019 07:08:09 GMT":   0,
		"Mon, 06 May 2030 06:58:09 GMT":   0,
		"Mon, 06 May 2030 07:18:09 GMT":   10 * time.Minute,
		"Tue, 06 May 9999 07:08:09 GMT":   year,
		"2030-05-06T07:08:39Z":            30 * time.Second,
	} {
		c := newStub(t, http.StatusServiceUnavailable, http.Header{"Retry-After": {value}, "Date": nil}, "").client(t)
		fastly.HookNow(c, func() time.Time { return now })
		_, err := c.Tokens.GetTokenCurrent(t.Context())
		assert.Equal(t, want, responseError(t, err).RetryAfter, "Retry-After: %s", value)
	}
}

func TestLongestOfSeveralRetryAfterHeadersCounts(t *testing.T) {
	t.Parallel()
	header := http.Header{"Retry-After": {"5", testTime.Add(time.Minute).Format(http.TimeFormat), "7", "soon"}, "Date": nil}
	c := newStub(t, http.StatusServiceUnavailable, header, "").client(t)
	skipWaits(c)
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	assert.Equal(t, time.Minute, responseError(t, err).RetryAfter)
}

// The local clock may be wrong: waits are relative to the server's.
func TestRetryAfterIsRelativeToTheDateOfTheResponse(t *testing.T) {
	t.Parallel()
	server := testTime.Add(-3 * time.Hour)
	for name, header := range map[string]http.Header{
		"reset":       {"Fastly-Ratelimit-Reset": {strconv.FormatInt(server.Add(10*time.Minute).Unix(), 10)}},
		"Retry-After": {"Retry-After": {server.Add(10 * time.Minute).Format(http.TimeFormat)}},
	} {
		header.Set("Date", server.Format(http.TimeFormat))
		c := newStub(t, http.StatusTooManyRequests, header, "").client(t)
		skipWaits(c)
		_, err := c.Tokens.GetTokenCurrent(t.Context())
		assert.Equal(t, 10*time.Minute, responseError(t, err).RetryAfter, name)
	}
}

func TestRateLimitHeadersOfAnErrorAreRead(t *testing.T) {
	t.Parallel()
	end := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	for _, test := range []struct {
		remaining, reset string
		want             fastly.RateLimit
		known            bool // to Client.RateLimit
	}{
		{"955", "1610625600", fastly.RateLimit{Remaining: 955, Reset: time.Unix(1610625600, 0)}, true},
		{"0", "1610625600", fastly.RateLimit{Reset: time.Unix(1610625600, 0)}, true},
		{"955", "", fastly.RateLimit{Remaining: 955}, true},
		{"955", "soon", fastly.RateLimit{Remaining: 955}, true},
		{"955", "0", fastly.RateLimit{Remaining: 955, Reset: time.Unix(0, 0)}, true},
		{"955", "-1", fastly.RateLimit{Remaining: 955}, true},
		{"955", "253402300799", fastly.RateLimit{Remaining: 955, Reset: end.Local()}, true},
		{"955", "253402300800", fastly.RateLimit{Remaining: 955}, true}, // the year 10000
		{"955", "99999999999999999999", fastly.RateLimit{Remaining: 955}, true},
		{"", "1610625600", fastly.RateLimit{Reset: time.Unix(1610625600, 0)}, false},
		{"many", "1610625600", fastly.RateLimit{Reset: time.Unix(1610625600, 0)}, false},
		{"", "", fastly.RateLimit{}, false},
	} {
		header := http.Header{}
		if test.remaining != "" {
			header.Set("Fastly-RateLimit-Remaining", test.remaining)
		}
		if test.reset != "" {
			header.Set("Fastly-RateLimit-Reset", test.reset)
		}
		c := newStub(t, http.StatusTooManyRequests, header, "").client(t)
		_, err := c.Tokens.GetTokenCurrent(t.Context())
		assert.Equal(t, test.want, responseError(t, err).RateLimit, "%v", header)
		limit, ok := c.RateLimit()
		assert.Equal(t, test.known, ok, "%v", header)
		if test.known {
			assert.Equal(t, test.want, limit, "%v", header)
		}
	}
}
