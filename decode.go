package fastly

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	// Go 1.26: the mirror of encoding/json/jsontext.
	"github.com/go-json-experiment/json/jsontext"

	"github.com/fastly-tokens/fastly/internal/tolerant"
)

// tokenDecoder reads tokens from JSON text. Its Decoder rejects duplicate names.
type tokenDecoder struct {
	*jsontext.Decoder
	err       error             // what ended reading
	odd       error             // the first thing that is not as it should be
	shared    map[string]string // strings that recur in a list
	elements  int               // of arrays, so far
	serviceID string            // of the token that is being read
	buf       []byte
	items     []string
}

func newTokenDecoder(r io.Reader, opts ...jsontext.Options) *tokenDecoder {
	return &tokenDecoder{Decoder: jsontext.NewDecoder(r, opts...)}
}

// fail notes the first thing that is not as it should be.
func (d *tokenDecoder) fail(format string, args ...any) {
	if d.odd == nil {
		d.odd = invalidResponse(format, args...)
	}
}

// begin reads the start of an object or array, and reports whether it is one. It skips any other.
func (d *tokenDecoder) begin(kind jsontext.Kind, what string) bool {
	found := d.PeekKind()
	if found == kind || found == jsontext.KindInvalid {
		_, d.err = d.ReadToken()
		return d.err == nil
	}
	d.fail("it is not %s", what)
	d.err = d.SkipValue()
	return false
}

// more reports whether the object or array goes on, and reads its end.
func (d *tokenDecoder) more() bool {
	if d.err != nil {
		return false
	}
	kind := d.PeekKind()
	if kind != '}' && kind != ']' {
		return true
	}
	_, d.err = d.ReadToken()
	return false
}

// value reads a value, which is nil once an error has ended reading.
func (d *tokenDecoder) value() (value jsontext.Value) {
	if d.err == nil {
		value, d.err = d.ReadValue()
	}
	return value
}

// token reads a token object into t, and its access token into secret unless that is nil. A field
// that can't be read keeps its zero value. With an error, t has what came before it.
func (d *tokenDecoder) token(t *TokenResponse, secret *Secret) {
	d.serviceID = ""
	for ok := d.begin('{', "a JSON object"); ok && d.more(); {
		quoted := d.value()
		if d.err != nil {
			break
		}
		isKnown := d.field(quoted[1:len(quoted)-1], t, secret)
		if !isKnown && bytes.ContainsRune(quoted, '\\') { // JSON may escape any letter of a name
			isKnown = d.field(d.unquote(quoted), t, secret)
		}
		if !isKnown {
			d.value()
		}
	}
	// Without the one service of a legacy token, it would look unlimited.
	if len(t.Services) == 0 && d.serviceID != "" {
		t.Services = []string{d.serviceID}
	}
	if t.ID == "" {
		d.fail("it has no token ID")
	}
}

// field reads one field, or leaves it to be skipped.
func (d *tokenDecoder) field(name []byte, t *TokenResponse, secret *Secret) (isKnown bool) {
	switch string(name) {
	case "id":
		t.ID = d.checked(d.text())
	case "name":
		t.Name = d.text()
	case "user_id":
		t.UserID = d.checked(d.recurring())
	case "customer_id":
		t.CustomerID = d.checked(d.recurring())
	case "scope":
		if scopes := d.scopes(); scopes != nil {
			t.Scopes = scopes
		}
	case "scopes":
		if t.Scopes != nil {
			return false // scope says the same
		}
		t.Scopes = d.scopes()
	case "services":
		t.Services = d.services()
	case "service_id":
		d.serviceID = d.checked(d.recurring())
	case "limit_services":
		t.LimitServices = d.bool()
	case "created_at":
		t.CreatedAt = d.time()
	case "updated_at":
		t.UpdatedAt = d.time()
	case "deleted_at":
		t.DeletedAt = d.time()
	case "expires_at":
		t.ExpiresAt = d.time()
	case "last_used_at":
		t.LastUsedAt = d.time()
	case "sudo_expires_at":
		t.SudoExpiresAt = d.time()
	case "ip":
		t.IP = d.text()
	case "user_agent":
		t.UserAgent = d.recurring()
	case "access_token":
		if secret == nil {
			return false
		}
		*secret = Secret(d.checked(d.text()))
	default:
		return false
	}
	return true
}

// unquote returns the text of a string, or nothing for null. It is valid until the next call. What
// is not valid Unicode, such as half of a surrogate pair, becomes U+FFFD.
func (d *tokenDecoder) unquote(value jsontext.Value) []byte {
	if value.Kind() == '"' {
		d.buf, _ = jsontext.AppendUnquote(d.buf[:0], value)
		return d.buf
	}
	if value.Kind() != 'n' {
		d.fail("its field %s has an unexpected type", d.StackPointer())
	}
	return nil
}

// text reads a string; it is empty for null.
func (d *tokenDecoder) text() string { return string(d.unquote(d.value())) }

// recurring is text for a string that other tokens of a list have, too.
func (d *tokenDecoder) recurring() string {
	value := d.value()
	text, ok := d.shared[string(value)]
	if !ok {
		text = string(d.unquote(value))
		if d.shared != nil && len(d.shared) < maxShared {
			d.shared[string(value)] = text
		}
	}
	return text
}

// checked returns an ID, a scope or an access token: text of which no part may be lost.
func (d *tokenDecoder) checked(text string) string {
	if isUnicode(text) {
		return text
	}
	d.fail("its field %s is not valid Unicode", d.StackPointer())
	return ""
}

func isUnicode(text string) bool { return !strings.Contains(text, "\ufffd") }

// count bounds the number of elements.
func (d *tokenDecoder) count(n int) {
	d.elements += n
	if d.elements > maxElements && d.err == nil {
		d.err = invalidResponse("it holds more than %d scopes and services", maxElements)
	}
}

// array reads an array of strings, without null and empty ones.
func (d *tokenDecoder) array() []string {
	d.items = d.items[:0]
	for ok := d.begin('[', "a JSON array"); ok && d.more(); {
		item := d.checked(d.recurring())
		if item != "" {
			d.items = append(d.items, item)
			d.count(1)
		}
	}
	return append([]string{}, d.items...) // not nil, so that it encodes as []
}

// scopes reads the space-delimited form, or the array that some responses have.
func (d *tokenDecoder) scopes() (scopes Scopes) {
	if d.PeekKind() != '[' {
		scopes = ParseScopes(d.checked(d.recurring()))
		d.count(len(scopes))
		return scopes
	}
	for _, scope := range d.array() {
		scopes = append(scopes, Scope(scope))
	}
	return scopes
}

func (d *tokenDecoder) services() []string {
	if d.PeekKind() == '[' {
		return d.array()
	}
	d.mustBeEmpty(d.value())
	return nil
}

func (d *tokenDecoder) bool() bool {
	value := d.value()
	if value.Kind() != 't' && value.Kind() != 'f' {
		d.mustBeEmpty(value)
	}
	return value.Kind() == 't'
}

// mustBeEmpty rejects a value, except null and an empty string, which stand for any type.
func (d *tokenDecoder) mustBeEmpty(value jsontext.Value) {
	if len(d.unquote(value)) > 0 {
		d.fail("its field %s has an unexpected type", d.StackPointer())
	}
}

// time reads a time as UTC.
func (d *tokenDecoder) time() (t time.Time) {
	text := d.unquote(d.value())
	if len(text) == 0 {
		return t
	}
	t, err := tolerant.Time(string(text))
	t = t.UTC()
	if year := t.Year(); err != nil || year < 0 || year > 9999 {
		d.fail("its field %s is not an RFC 3339 time", d.StackPointer())
		return time.Time{}
	}
	return t
}

// decoders keep their buffers from one response to the next.
var decoders = sync.Pool{New: func() any { return newTokenDecoder(http.NoBody) }}

func startDecoding(text io.Reader) *tokenDecoder {
	d := decoders.Get().(*tokenDecoder)
	d.Reset(text, jsontext.AllowInvalidUTF8(true))
	d.err, d.odd, d.shared, d.elements = nil, nil, nil, 0
	return d
}

// finish returns the outcome: done if the text of resp was one value, and as it should be.
func (d *tokenDecoder) finish(resp *http.Response) outcome {
	if d.err != nil {
		return explain(resp, d.err)
	}
	_, err := d.ReadToken()
	switch {
	case d.odd != nil:
		err = d.odd
	case err == nil, isA[*jsontext.SyntacticError](err):
		err = invalidResponse("there is more after its end")
	case errors.Is(err, io.EOF):
		decoders.Put(d)
		return outcome{class: classDone}
	}
	return explain(resp, err)
}

func decodeToken(resp *http.Response) (*TokenResponse, outcome) {
	d, t := startDecoding(http.MaxBytesReader(nil, resp.Body, maxTokenBytes)), new(TokenResponse)
	d.token(t, nil)
	out := d.finish(resp)
	if out.err != nil {
		return nil, out
	}
	return t, out
}

// decodeTokens returns the tokens that can be read, even if the outcome is an error; nil if none can.
func decodeTokens(resp *http.Response) ([]TokenResponse, outcome) {
	body := &io.LimitedReader{R: http.MaxBytesReader(nil, resp.Body, maxListBytes), N: maxTokenBytes}
	d, list := startDecoding(body), []TokenResponse{}
	d.shared = map[string]string{}
	var odd error
	var chunks [][]TokenResponse
	isArray := d.begin('[', "a JSON array")
	for n := 0; isArray && d.more(); n++ {
		if n == maxTokens {
			d.err = invalidResponse("it holds more than %d tokens", maxTokens)
			break
		}
		body.N = maxTokenBytes
		var t TokenResponse
		d.token(&t, nil)
		if d.err != nil || d.odd != nil { // what there is of it may mislead
			odd, d.odd = cmp.Or(odd, d.odd), nil
			continue
		}
		if len(list) == cap(list) { // growing one slice would copy it again and again
			chunks = append(chunks, list)
			list = make([]TokenResponse, 0, min(max(16, 2*len(list)), 1024))
		}
		list = append(list, t)
	}
	if len(chunks) > 1 {
		list = slices.Concat(append(chunks, list)...)
	}
	d.odd = cmp.Or(odd, d.odd)
	if d.err != nil && body.N == 0 {
		d.err = invalidResponse("one of its tokens is longer than %d MiB", maxTokenBytes>>20)
	}
	out := d.finish(resp)
	if out.err != nil && len(list) == 0 {
		return nil, out
	}
	if out.err == nil && tolerant.HasNextPage(resp.Header) {
		err := errors.New("the list is not complete: its Link to a next page is not followed")
		out = outcome{class: classAmbiguous, err: err}
	}
	return list, out
}
