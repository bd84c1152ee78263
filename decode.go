package fastly

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"sync"
	"time"

	// The mirror of encoding/json/jsontext, for toolchains before Go 1.27.
	"github.com/go-json-experiment/json/jsontext"
)

// Bounds on what is read. A longer response is an error.
const (
	maxListBytes  = 64 << 20
	maxTokenBytes = 1 << 20
	maxErrorBytes = 64 << 10
	maxTokens     = 500_000 // bounds the memory of a list of many small objects
)

// tokenDecoder reads tokens from JSON text. Its Decoder rejects duplicate names and invalid UTF-8.
type tokenDecoder struct {
	*jsontext.Decoder
	err     error             // what ended reading
	invalid error             // the first field that can't be read
	shared  map[string]string // strings that recur in a list
	buf     []byte
	items   []string
}

func newTokenDecoder(r io.Reader, opts ...jsontext.Options) *tokenDecoder {
	return &tokenDecoder{Decoder: jsontext.NewDecoder(r, opts...)}
}

// fail notes the first thing that is not as it should be.
func (d *tokenDecoder) fail(format string, args ...any) {
	if d.invalid == nil {
		d.invalid = invalidResponse(format, args...)
	}
}

// begin reads the start of an object or array.
func (d *tokenDecoder) begin(kind jsontext.Kind, what string) {
	if found := d.PeekKind(); found != kind && found != 0 {
		d.err = invalidResponse("it is not %s", what)
	} else {
		_, d.err = d.ReadToken()
	}
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
	var serviceID string
	field := func(name []byte) (known bool) {
		switch string(name) {
		case `"id"`:
			t.ID = d.text()
		case `"name"`:
			t.Name = d.text()
		case `"user_id"`:
			t.UserID = d.recurring()
		case `"customer_id"`:
			t.CustomerID = d.recurring()
		case `"scope"`:
			if scopes := d.scopes(); scopes != nil {
				t.Scopes = scopes
			}
		case `"scopes"`:
			if t.Scopes == nil {
				t.Scopes = d.scopes()
			} else { // scope says the same
				d.value()
			}
		case `"services"`:
			t.Services = d.services()
		case `"service_id"`:
			serviceID = d.recurring()
		case `"created_at"`:
			t.CreatedAt = d.time()
		case `"updated_at"`:
			t.UpdatedAt = d.time()
		case `"deleted_at"`:
			t.DeletedAt = d.time()
		case `"expires_at"`:
			t.ExpiresAt = d.time()
		case `"last_used_at"`:
			t.LastUsedAt = d.time()
		case `"sudo_expires_at"`:
			t.SudoExpiresAt = d.time()
		case `"ip"`:
			t.IP = d.text()
		case `"user_agent"`:
			t.UserAgent = d.recurring()
		case `"access_token"`:
			if secret == nil {
				return false
			}
			*secret = Secret(d.text())
		default:
			return false
		}
		return true
	}
	for d.begin('{', "a JSON object"); d.more(); {
		if name := d.value(); !field(name) {
			plain, _ := jsontext.AppendUnquote(nil, name) // JSON may escape any letter of a name
			if quoted, _ := jsontext.AppendQuote(nil, plain); !field(quoted) && d.err == nil {
				d.err = d.SkipValue()
			}
		}
	}
	// Without the one service of a legacy token, it would look unlimited.
	if len(t.Services) == 0 && serviceID != "" {
		t.Services = []string{serviceID}
	}
	if t.ID == "" {
		d.fail("it has no token ID")
	}
}

// unquote returns the text of a string, or nothing for null. It is valid until the next call.
func (d *tokenDecoder) unquote(value jsontext.Value) []byte {
	switch value.Kind() {
	case '"':
		d.buf, _ = jsontext.AppendUnquote(d.buf[:0], value) // whether UTF-8 must be valid is for the Decoder to say
		return d.buf
	case 'n':
	default:
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
		if d.shared != nil {
			d.shared[string(value)] = text
		}
	}
	return text
}

// array reads an array of strings, without null and empty ones.
func (d *tokenDecoder) array() []string {
	d.items = d.items[:0]
	for d.begin('[', "a JSON array"); d.more(); {
		if item := d.recurring(); item != "" {
			d.items = append(d.items, item)
		}
	}
	return append([]string{}, d.items...) // not nil, so that it encodes as []
}

// scopes reads the space-delimited form, or the array that some responses have.
func (d *tokenDecoder) scopes() (scopes Scopes) {
	if d.PeekKind() != '[' {
		return splitScopes(d.recurring())
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
	if len(d.unquote(d.value())) > 0 {
		d.fail("its field %s has an unexpected type", d.StackPointer())
	}
	return nil
}

// time reads an RFC 3339 time as UTC.
func (d *tokenDecoder) time() (t time.Time) {
	text := d.unquote(d.value())
	if len(text) == 0 {
		return t
	}
	err := t.UnmarshalText(text)
	t = t.UTC()
	if year := t.Year(); err != nil || year < 0 || year > 9999 {
		d.fail("its field %s is not an RFC 3339 time", d.StackPointer())
		return time.Time{}
	}
	return t
}

// end returns an error unless the text was one valid value.
func (d *tokenDecoder) end() error {
	if err := cmp.Or(d.err, d.invalid); err != nil {
		return err
	}
	_, err := d.ReadToken()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil, isA[*jsontext.SyntacticError](err):
		return invalidResponse("there is more after its end")
	}
	return err
}

// explain returns why reading failed. It never quotes the text, which may hold an access token.
func explain(err error) error {
	tooLong, isTooLong := errors.AsType[*http.MaxBytesError](err)
	syntactic, isSyntactic := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case isTooLong:
		return invalidResponse("it is longer than %d MiB", tooLong.Limit>>20)
	case errors.Is(err, io.EOF):
		return invalidResponse("it is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return invalidResponse("its JSON ends too early")
	case isSyntactic:
		return invalidResponse("it is not valid JSON at byte %d", syntactic.ByteOffset)
	}
	return err
}

// decoders keep their buffers from one response to the next.
var decoders = sync.Pool{New: func() any { return newTokenDecoder(http.NoBody) }}

// decodeText reads one value, and makes sure that nothing follows it.
func decodeText[T any](text io.Reader, read func(*tokenDecoder) T) (T, error) {
	d := decoders.Get().(*tokenDecoder)
	d.Reset(text)
	d.err, d.invalid, d.shared = nil, nil, nil
	value := read(d)
	if err := d.end(); err != nil {
		return *new(T), explain(err)
	}
	decoders.Put(d)
	return value, nil
}

func decodeToken(resp *http.Response) (*TokenResponse, error) {
	return decodeText(http.MaxBytesReader(nil, resp.Body, maxTokenBytes), func(d *tokenDecoder) *TokenResponse {
		t := new(TokenResponse)
		d.token(t, nil)
		return t
	})
}

func decodeTokens(resp *http.Response) ([]TokenResponse, error) {
	return decodeText(http.MaxBytesReader(nil, resp.Body, maxListBytes), func(d *tokenDecoder) []TokenResponse {
		d.shared = map[string]string{}
		list := []TokenResponse{}
		for d.begin('[', "a JSON array"); d.invalid == nil && d.more(); {
			switch len(list) {
			case maxTokens:
				d.fail("it holds more than %d tokens", maxTokens)
				return nil
			case cap(list):
				list = slices.Grow(list, max(len(list), 16))
			}
			list = append(list, TokenResponse{})
			d.token(&list[len(list)-1], nil)
		}
		return list
	})
}

// decodeCreated returns what can be read of a created token, together with the error if that is not
// all: the access token is shown only once.
func decodeCreated(resp *http.Response) (*TokenCreatedResponse, error) {
	text, err := io.ReadAll(http.MaxBytesReader(nil, resp.Body, maxTokenBytes))
	created, invalid := decodeText(bytes.NewReader(text), func(d *tokenDecoder) *TokenCreatedResponse {
		created := new(TokenCreatedResponse)
		if d.token(&created.TokenResponse, &created.AccessToken); created.AccessToken == "" {
			d.fail("it has no access token")
		}
		return created
	})
	if err = cmp.Or(explain(err), invalid); err != nil {
		return recoverCreated(text, err)
	}
	return created, nil
}

// decodeRevoked reads a 2xx to a revoke. It is the API's only if it is empty or JSON: a captive
// portal, say, sends a page with a 200.
func decodeRevoked(resp *http.Response) (none struct{}, err error) {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	if text = bytes.TrimSpace(text); len(text) == 0 && err == nil {
		return none, nil
	}
	if len(text) > 0 && !jsontext.Value(text).IsValid(lenient...) {
		_, invalid := jsontext.NewDecoder(bytes.NewReader(text), lenient...).ReadValue()
		if !errors.Is(invalid, io.ErrUnexpectedEOF) {
			return none, &foreignError{invalidResponse("it is not JSON")}
		}
		err = cmp.Or(err, invalidResponse("it is not JSON"))
	}
	if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType == "text/html" {
		return none, &foreignError{invalidResponse("it is a page of HTML")}
	}
	return none, err
}

// foreignError is the error of a 2xx that is not the API's, even if it was not read to its end.
type foreignError struct{ err error }

func (e *foreignError) Error() string { return e.err.Error() }

// invalidResponse says why a 2xx is not the response it should be.
func invalidResponse(format string, args ...any) error {
	return fmt.Errorf("the response is not what the API sends: "+format, args...)
}

// truncatedError is the error of a body that was cut off, and of decoding what came.
type truncatedError struct{ err, decoding error }

func (e *truncatedError) Error() string { return "the response was truncated: " + e.err.Error() }
func (e *truncatedError) Unwrap() error { return errors.Join(e.err, e.decoding) }
