package fastly

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	// Go 1.26: the mirror of encoding/json/jsontext.
	"github.com/go-json-experiment/json/jsontext"

	"github.com/fastly-tokens/fastly/internal/plain"
	"github.com/fastly-tokens/fastly/internal/tolerant"
)

// lenient is for text whose faults are reported elsewhere, or don't matter.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// decodeRevoked reads a 2xx to a revoke. It is the API's only if it is empty or JSON that reports no
// error: a captive portal, say, sends a page with a 200, which proves nothing even if it is cut off.
func decodeRevoked(resp *http.Response) (none struct{}, out outcome) {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	text = bytes.TrimSpace(text)
	if len(text) == 0 && err == nil {
		return none, outcome{class: classDone}
	}
	isJSON := jsontext.Value(text).IsValid(lenient...)
	_, syntax := jsontext.NewDecoder(bytes.NewReader(text), lenient...).ReadValue()
	endsEarly := len(text) == 0 || errors.Is(syntax, io.ErrUnexpectedEOF)
	fields := scalars(text)
	isProblem := new(GenericTokenError).parseBody(text) != classAmbiguous || fields["message"] != "" ||
		strings.ContainsAny(fields["error"]+fields["errors"], `"{`)
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case !isJSON && !endsEarly:
		out = explain(resp, invalidResponse("it is not JSON%s; "+notAPI, unreadCoding(resp)))
		out.foreign = true
	case mediaType == "text/html":
		out = explain(resp, invalidResponse("it is a page of HTML; "+notAPI))
		out.foreign = true
	case err != nil:
		out = explain(resp, err)
	case !isJSON:
		out = explain(resp, invalidResponse("it is not JSON"))
	case isProblem:
		out = explain(resp, invalidResponse("it reports an error"))
	default:
		out.class = classDone
	}
	return none, out
}

// decodeCreated returns what can be read of a created token, even if the outcome is an error: the
// access token is shown only once.
func decodeCreated(resp *http.Response) (*TokenCreatedResponse, outcome) {
	text, broken := io.ReadAll(http.MaxBytesReader(nil, resp.Body, maxTokenBytes))
	d, created := startDecoding(bytes.NewReader(text)), new(TokenCreatedResponse)
	d.token(&created.TokenResponse, &created.AccessToken)
	if created.AccessToken == "" {
		d.fail("it has no access token")
	}
	out := d.finish(resp)
	if broken != nil {
		out = explain(resp, broken)
	}
	if out.err != nil {
		return recoverCreated(text, out)
	}
	return created, out
}

// recoverCreated reads what it can of a created token whose response is broken: first up to the
// break, then from anywhere.
func recoverCreated(text []byte, out outcome) (*TokenCreatedResponse, outcome) {
	created := new(TokenCreatedResponse)
	d := newTokenDecoder(bytes.NewReader(text), lenient...)
	d.token(&created.TokenResponse, &created.AccessToken) // out says what is wrong with it
	isInPlace := created.AccessToken != ""
	created.AccessToken = cmp.Or(created.AccessToken, Secret(scanString(text, "access_token")))
	created.ID = cmp.Or(created.ID, scanString(text, "id"))
	switch {
	case isInPlace:
		out.hint = "the token was created, and its access token is in the response: keep it, or revoke the token"
		if out.class == classAmbiguous {
			out.class = classPermanent // the token is known to exist
		}
	case created.AccessToken != "":
		out.hint = "a token was created, and what may be its access token is in the response: " +
			"test it before you rely on it"
	case created.ID == "":
		return nil, out
	}
	return created, out
}

// scanString looks in any text for a name with a whole JSON string, not empty.
func scanString(text []byte, name string) string {
	const maxScanned = 4 << 10 // bounds the time for text that repeats the name
	for text != nil {
		_, text, _ = bytes.Cut(text, []byte(`"`+name+`"`)) // nil if it is not there
		value, isMember := bytes.CutPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte{':'})
		if !isMember {
			continue
		}
		d := jsontext.NewDecoder(bytes.NewBuffer(value[:min(len(value), maxScanned)]), lenient...)
		token, err := d.ReadToken()
		if err == nil && token.Kind() == '"' && isUnicode(token.String()) && token.String() != "" {
			return token.String()
		}
	}
	return ""
}

// readError returns the outcome of a response other than a 2xx, whose body may be anything.
func readError(resp *http.Response, op *operation, limit RateLimit, s secrets, now time.Time) outcome {
	status := resp.StatusCode
	if status == http.StatusSwitchingProtocols {
		resp.Body = http.NoBody // in place of the connection
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	if why := unreadCoding(resp); why != "" && !utf8.Valid(text) {
		text = []byte("the body can't be read" + why)
	}
	e := &GenericTokenError{
		StatusCode: status,
		Method:     op.method, Path: op.path,
		RateLimit:  limit,
		RetryAfter: retryAfter(status, resp.Header, limit, now),
		Body:       string(text),
		received:   now,
		cut:        err != nil || len(text) == maxErrorBytes,
	}
	form := e.parseBody(bytes.TrimSpace(bytes.Clone(text)))
	e.foreign = form == classAmbiguous
	e.meaning = e.findMeaning()
	e.hint = op.responseHint(e.meaning.sentinel, status)
	out := outcome{class: classifyStatus(status), status: status, response: e}
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		out.delay = e.RetryAfter
	}
	accessToken := scanString(text, "access_token")
	isNew := plain.HasWord(accessToken, accessTokenLength) && !slices.Contains(s.anywhere, accessToken)
	switch {
	case op.kind == kindCreate && isNew:
		out.class = classAmbiguous // the token may have been created
	case out.class == classClientError && errors.Is(e.meaning.sentinel, ErrSudoRequired):
		out.class = classPermanent // the key still works, so no earlier attempt revoked it
	case out.class == classClientError:
		out.class = form
	}
	e.redact(resp, s.inForms())
	return out
}

// redact withholds the texts of e that hold a secret.
func (e *GenericTokenError) redact(resp *http.Response, s secrets) {
	s.tokens = slices.ContainsFunc(plain.Forms(e.Body), func(form string) bool { // perhaps cut off
		return strings.Contains(form, "access_token")
	})
	e.Header = s.redactHeader(resp.Header)
	if location, err := resp.Location(); err == nil && resp.StatusCode/100 == 3 {
		e.redirectTo = s.redact(location.Host)
	}
	s.cut = e.cut
	e.Msg, e.Detail = s.redact(e.Msg), s.redact(e.Detail)
	e.Code, e.Body = s.redact(e.Code), s.redact(e.Body)
}

// parseBody fills in Msg, Detail and Code from a body of any form: the API's own, JSON:API,
// RFC 9457, HTML or text. It returns the class of a 4xx with such a body.
func (e *GenericTokenError) parseBody(text []byte) class {
	switch {
	case bytes.HasPrefix(text, []byte("{")):
		return e.parseObject(text)
	case bytes.HasPrefix(text, []byte("<")):
		e.Msg = tolerant.HTMLTitle(string(text), e.cut)
	default:
		e.Msg = string(text)
	}
	return classAmbiguous // it may have come in place of the API's response
}

// parseObject is parseBody for a JSON object.
func (e *GenericTokenError) parseObject(object []byte) class {
	fields := scalars(append(object, `"}`...)) // perhaps it was cut off in its message
	e.Code, e.Msg = fields["code"], cmp.Or(fields["msg"], fields["title"])
	details, shared := []string{cmp.Or(fields["detail"], fields["details"])}, []string{fields["title"]}
	for _, item := range errorItems(fields["errors"]) {
		e.Code = cmp.Or(e.Code, item["code"])
		title := cmp.Or(item["msg"], item["title"])
		shared = append(shared, title, item["detail"])
		if e.Msg == "" {
			e.Msg, title = title, ""
		}
		details = append(details, title, item["detail"])
	}
	e.Detail = strings.Join(slices.DeleteFunc(details, func(text string) bool { return text == "" }), "; ")
	switch {
	case strings.TrimSpace(fields["msg"]) != "":
		return classClientError
	case strings.TrimSpace(strings.Join(shared, "")) != "":
		return classPermanent // gateways send title and errors as well: no proof of anything
	}
	return classAmbiguous
}

// errorItems reads errors of JSON:API, or those of another API, which may be strings.
func errorItems(text string) (items []map[string]string) {
	const maxItems = 100
	if !strings.HasPrefix(text, "[") {
		text = "[" + text + "]" // there is but one, or none
	}
	d := newTokenDecoder(strings.NewReader(text), lenient...)
	for ok := d.begin('[', "an array"); ok && d.more() && len(items) < maxItems; {
		value := d.value()
		switch value.Kind() {
		case '"':
			items = append(items, map[string]string{"title": string(d.unquote(value))})
		case '{':
			items = append(items, scalars(value))
		}
	}
	return items
}

// scalars returns the strings of an object, its code if that is a number, and error and errors as they are.
func scalars(object []byte) map[string]string {
	fields := map[string]string{}
	d := newTokenDecoder(bytes.NewReader(object), lenient...)
	for ok := d.begin('{', "an object"); ok && d.more(); {
		name := string(d.unquote(d.value()))
		value := d.value()
		switch {
		case name == "error", name == "errors", name == "code" && value.Kind() == '0':
			fields[name] = string(value)
		case value.Kind() == '"':
			fields[name] = string(d.unquote(value))
		}
	}
	return fields
}
