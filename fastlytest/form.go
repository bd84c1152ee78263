package fastlytest

import (
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// mediaType reports whether the one Content-Type is want, and returns its
// parameters.
func mediaType(h http.Header, want string) (params map[string]string, ok bool) {
	values := h.Values("Content-Type")
	if len(values) != 1 {
		return nil, false
	}
	got, params, err := mime.ParseMediaType(values[0])
	return params, err == nil && got == want
}

// parseForm reads a body of form fields, without a Content-Type as well: old
// programs send none.
func parseForm(h http.Header, body []byte) (url.Values, *problem) {
	if len(body) == 0 {
		return nil, nil
	}
	const want = "application/x-www-form-urlencoded"
	if _, ok := mediaType(h, want); !ok && len(h.Values("Content-Type")) > 0 {
		return nil, newProblem(http.StatusUnsupportedMediaType, "The Content-Type must be "+want)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, "The body is not a valid form")
	}
	for _, field := range []string{"name", "scope", "expires_at", "username", "password", "expiry_time"} {
		if len(form[field]) > 1 {
			return nil, newProblem(http.StatusBadRequest, "The field "+field+" is there more than once")
		}
	}
	return form, nil
}

// rfc3339 is the form of a time. Package time checks the ranges, except that of
// the offset, but accepts other forms, such as "T2:04:05,5Z".
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// parseTime reads a time, to the second. Its year must have four digits in UTC,
// too.
func parseTime(s string) (time.Time, bool) {
	s = strings.ToUpper(s) // RFC 3339 section 5.6 allows t and z
	if !rfc3339.MatchString(s) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, s)
	t = toSecond(t)
	return t, err == nil && t.Year() >= 0 && t.Year() <= 9999
}
