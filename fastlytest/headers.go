package fastlytest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// apiHeader returns the header fields of every response of the API.
func apiHeader(status int, arrived, now time.Time) http.Header {
	return http.Header{
		"Cache-Control":             {"no-store"},
		"Pragma":                    {"no-cache"},
		"Server":                    {"fastly control-gateway"},
		"Status":                    {strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))},
		"Strict-Transport-Security": {"max-age=31536000"},
		"Vary":                      {"Accept-Encoding"},
		"Via":                       {"1.1 varnish, 1.1 varnish"},
		"X-Cache":                   {"MISS, MISS"},
		"X-Served-By":               {"cache-control-fastlytest-CONTROL, cache-fastlytest-TEST"},
		// When the request arrived, and how many milliseconds it took.
		"X-Timer": {fmt.Sprintf("S%d.%06d,VS0,VE%d", arrived.Unix(), arrived.Nanosecond()/1000, now.Sub(arrived).Milliseconds())},
	}
}

// setRateLimit reports how many requests are left in the hour, and when it ends.
func setRateLimit(h http.Header, remaining int, hour time.Time) {
	h.Set("Fastly-RateLimit-Remaining", strconv.Itoa(remaining))
	h.Set("Fastly-RateLimit-Reset", strconv.FormatInt(hour.Add(time.Hour).Unix(), 10))
}

// acceptsGzip reports whether a client asks for gzip by name (RFC 9110 section
// 12.5.3).
func acceptsGzip(h http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		name, weight, weighted := strings.Cut(strings.ReplaceAll(coding, " ", ""), ";q=")
		if strings.EqualFold(name, "gzip") {
			q, err := strconv.ParseFloat(weight, 64)
			return !weighted || err == nil && q > 0
		}
	}
	return false
}

func gzipped(body []byte) []byte {
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	_, _ = zw.Write(body) // into memory, which does not fail
	_ = zw.Close()
	return b.Bytes()
}
