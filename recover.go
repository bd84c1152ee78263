package fastly

import (
	"bytes"
	"cmp"
	"html"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// lenient is for text whose faults are reported elsewhere, or don't matter.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// recoveredError is the error of a create whose response could not be read whole, but held an
// access token. An unverified one was not where it should be.
type recoveredError struct {
	err        error
	unverified bool
}

func (e *recoveredError) Error() string { return e.err.Error() }
func (e *recoveredError) Unwrap() error { return e.err }

// recoverCreated reads what it can of a created token whose response is broken, as err says: first
// up to the break, then from anywhere.
func recoverCreated(text []byte, err error) (*TokenCreatedResponse, error) {
	created := new(TokenCreatedResponse)
	d := newTokenDecoder(bytes.NewReader(text), lenient...)
	d.token(&created.TokenResponse, &created.AccessToken) // err says what is wrong with it
	unverified := created.AccessToken == ""
	created.AccessToken = cmp.Or(created.AccessToken, Secret(scanString(text, "access_token")))
	created.ID = cmp.Or(created.ID, scanString(text, "id"))
	switch {
	case created.AccessToken != "":
		err = &recoveredError{err, unverified}
	case created.ID == "":
		created = nil
	}
	return created, err
}

// scanString looks in any text for a name with a whole JSON string, not empty.
func scanString(text []byte, name string) string {
	const maxScanned = 4 << 10 // so that text of nothing but names is not slow
	for text != nil {
		_, text, _ = bytes.Cut(text, []byte(`"`+name+`"`)) // nil if it is not there
		value, isMember := bytes.CutPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte{':'})
		if !isMember {
			continue
		}
		d := jsontext.NewDecoder(bytes.NewBuffer(value[:min(len(value), maxScanned)]), lenient...)
		if token, err := d.ReadToken(); err == nil && token.Kind() == '"' && token.String() != "" {
			return token.String()
		}
	}
	return ""
}

// readError reads a response other than a 2xx, whose body may be anything.
func readError(resp *http.Response, op *operation, limit RateLimit, s secrets, now time.Time) *GenericTokenError {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body = http.NoBody // in place of the connection
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	accessToken := scanString(text, "access_token")
	holdsToken := op.kind == kindCreate && len(accessToken) >= accessTokenLength &&
		!strings.ContainsFunc(accessToken, notInToken) && !slices.Contains(s.anywhere, accessToken)
	if bytes.Contains(text, []byte("access_token")) { // perhaps encoded, or cut off
		s = s.withTokens(string(text))
	}
	r := &redactor{secrets: s}
	body := string(text)
	if err != nil || len(text) == maxErrorBytes { // better than nothing
		body = r.redactTruncated(body)
	}
	msg, detail, code := parseErrorBody([]byte(body))
	e := &GenericTokenError{
		StatusCode: resp.StatusCode,
		Msg:        r.redact(msg),
		Detail:     r.redact(detail),
		Code:       r.redact(code),
		Method:     op.method, Path: op.path,
		RateLimit:  limit,
		RetryAfter: retryAfter(resp.StatusCode, resp.Header, limit, now),
		Header:     r.redactHeader(resp.Header),
		Body:       r.redact(body),
		received:   now,
		holdsToken: holdsToken,
	}
	if location, err := resp.Location(); err == nil && resp.StatusCode >= 300 && resp.StatusCode <= 399 {
		e.redirectTo = r.redact(location.Host)
	}
	return e
}

// parseErrorBody reads an error body of any form: the API's own, JSON:API, RFC 9457, HTML or text.
func parseErrorBody(body []byte) (msg, detail, code string) {
	text := bytes.TrimSpace(body)
	switch {
	case bytes.HasPrefix(text, []byte("{")):
		return parseErrorObject(text)
	case bytes.HasPrefix(text, []byte("<")):
		return htmlTitle(string(text)), "", ""
	}
	return string(text), "", ""
}

// parseErrorObject reads an error of the API or of RFC 9457, or the first one of JSON:API.
func parseErrorObject(object []byte) (msg, detail, code string) {
	fields := scalars(object)
	var first map[string]string
	d := newTokenDecoder(strings.NewReader(fields["errors"]), lenient...)
	for d.begin('[', "an array"); first == nil && d.more(); {
		if value := d.value(); value.Kind() == '{' {
			first = scalars(value)
		}
	}
	msg = cmp.Or(fields["msg"], fields["title"], first["msg"], first["title"])
	return msg, cmp.Or(fields["detail"], first["detail"]), cmp.Or(fields["code"], first["code"])
}

// scalars returns the strings and numbers of an object, and its errors as they are.
func scalars(object []byte) map[string]string {
	fields := map[string]string{}
	d := newTokenDecoder(bytes.NewReader(object), lenient...)
	for d.begin('{', "an object"); d.more(); {
		name := string(d.unquote(d.value()))
		switch value := d.value(); {
		case value.Kind() == '"':
			fields[name] = string(d.unquote(value))
		case value.Kind() == '0', name == "errors":
			fields[name] = string(value)
		}
	}
	return fields
}

// htmlTitle returns the title of an HTML page; the page itself is no message.
func htmlTitle(page string) string {
	for _, tag := range []string{"title", "TITLE"} {
		_, rest, _ := strings.Cut(page, "<"+tag)
		_, rest, _ = strings.Cut(rest, ">")
		if title, _, ok := strings.Cut(rest, "</"+tag); ok {
			return strings.Join(strings.Fields(html.UnescapeString(strings.ToValidUTF8(title, ""))), " ")
		}
	}
	return ""
}
