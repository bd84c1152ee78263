package fastlytest

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	// Go 1.26: the mirror of encoding/json/jsontext.
	"github.com/go-json-experiment/json/jsontext"
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

// parseFields reads the fields of a create: a form, or the same as JSON, which one
// client of the field sends.
func parseFields(h http.Header, body []byte) (url.Values, *problem) {
	if _, ok := mediaType(h, "application/json"); ok && len(body) > 0 {
		return parseJSON(body)
	}
	return parseForm(h, body)
}

// parseJSON reads a JSON object as the form that it stands for: scope is a string
// or, as scopes, an array, and services is an array. A null is a field that is not
// sent, but only for those that limit nothing: any other could be meant as a limit.
func parseJSON(body []byte) (url.Values, *problem) {
	var object map[string]any
	isStrict := jsontext.Value(body).IsValid() // a name that is there twice could lift a limit
	if err := json.Unmarshal(body, &object); err != nil || object == nil || !isStrict {
		return nil, newProblem(http.StatusBadRequest, "The body is not a JSON object")
	}
	form := url.Values{}
	for name, value := range object {
		optional := name == "name" || name == "username" || name == "password" || name == "expires_at"
		text, isText := value.(string)
		list, isList := stringList(value)
		switch {
		case value == nil && optional:
		case name == "scopes" && isList:
			form.Add("scope", strings.Join(list, " "))
		case name == "services" && isList:
			form["services[]"] = append(form["services[]"], list...)
		case isText:
			form.Add(name, text)
		default:
			return nil, newProblem(http.StatusBadRequest, "A field of the JSON object has another type than it should")
		}
	}
	return form, checkOnce(form)
}

// stringList returns a decoded array of strings.
func stringList(value any) (list []string, ok bool) {
	items, ok := value.([]any)
	for _, item := range items {
		text, isText := item.(string)
		list, ok = append(list, text), ok && isText
	}
	return list, ok
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
	return form, checkOnce(form)
}

// checkOnce rejects a form that has a field twice, except services[].
func checkOnce(form url.Values) *problem {
	for field, values := range form {
		if len(values) > 1 && field != "services[]" {
			return newProblem(http.StatusBadRequest, "A field is there more than once")
		}
	}
	return nil
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
