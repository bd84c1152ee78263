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
	// maxTokens bounds the memory of a list of many small objects.
	maxTokens = 500_000
)

// boundedReader reads up to a limit, and keeps the error that ended reading: a
// decoder wraps it.
type boundedReader struct {
	r        io.Reader
	limit, n int
	err      error // other than io.EOF
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	// A byte more than the limit tells whether the response fits.
	n, err := b.r.Read(p[:min(len(p), b.limit-b.n+1)])
	switch {
	case b.n+n > b.limit:
		n, b.err = b.limit-b.n, invalidResponse("it is longer than %d MiB", b.limit>>20)
	case err != nil && !errors.Is(err, io.EOF):
		b.err = &truncatedError{err}
	}
	b.n += n
	return n, cmp.Or(b.err, err)
}

// explain returns why decoding failed. It never quotes the text, which may hold an
// access token.
func (b *boundedReader) explain(err error) error {
	syntactic, isSyntactic := errors.AsType[*jsontext.SyntacticError](err)
	switch early := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); {
	case b.err != nil:
		return b.err
	case early && b.n == 0:
		return invalidResponse("it is empty")
	case early:
		return invalidResponse("its JSON ends too early")
	case isSyntactic:
		return invalidResponse("it is not valid JSON at byte %d", syntactic.ByteOffset)
	}
	return err
}

// tokenDecoder reads tokens from JSON text. Duplicate names and invalid UTF-8 are
// errors of the jsontext.Decoder.
type tokenDecoder struct {
	*jsontext.Decoder
	shared  map[string]string // strings that recur in a list
	invalid error             // the first field that can't be read
	name    []byte            // of the field at hand, in quotes
	buf     []byte
	items   []string
}

func newTokenDecoder(r io.Reader, opts ...jsontext.Options) *tokenDecoder {
	return &tokenDecoder{Decoder: jsontext.NewDecoder(r, opts...)}
}

// begin reads the start of an object or array.
func (d *tokenDecoder) begin(kind jsontext.Kind, what string) error {
	if found := d.PeekKind(); found != kind && found != 0 {
		return invalidResponse("it is not %s", what)
	}
	_, err := d.ReadToken()
	return err
}

// end makes sure that nothing follows.
func (d *tokenDecoder) end() error {
	_, err := d.ReadToken()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil, isA[*jsontext.SyntacticError](err):
		return invalidResponse("there is more after its end")
	}
	return err
}

// token reads a token object into t, and its access token into secret unless
// that is nil. A field that can't be read keeps its zero value. With an error, t
// has what came before it.
func (d *tokenDecoder) token(t *TokenResponse, secret *Secret) error {
	if err := d.begin('{', "a JSON object"); err != nil {
		return err
	}
	var scopes Scopes
	var serviceID string
	var err error
	for err == nil && d.PeekKind() == '"' {
		err = d.field(t, &scopes, &serviceID, secret)
	}
	if len(t.Scopes) == 0 {
		t.Scopes = scopes
	}
	// Without the one service of a legacy token, it would look unlimited.
	if len(t.Services) == 0 && serviceID != "" {
		t.Services = []string{serviceID}
	}
	if t.ID == "" {
		d.fail("it has no token ID")
	}
	if err == nil {
		_, err = d.ReadToken()
	}
	return err
}

func (d *tokenDecoder) field(t *TokenResponse, scopes *Scopes, serviceID *string, secret *Secret) error {
	quoted, err := d.ReadValue()
	if err != nil {
		return err
	}
	d.name = append(d.name[:0], quoted...)
	if bytes.IndexByte(d.name, '\\') >= 0 { // JSON may escape any letter
		plain, _ := jsontext.AppendUnquote(nil, quoted)
		d.name, _ = jsontext.AppendQuote(d.name[:0], plain)
	}
	switch string(d.name) {
	case `"id"`:
		return d.text(&t.ID)
	case `"name"`:
		return d.text(&t.Name)
	case `"user_id"`:
		return d.recurring(&t.UserID)
	case `"customer_id"`:
		return d.recurring(&t.CustomerID)
	case `"scope"`:
		return d.scopes(&t.Scopes)
	case `"scopes"`:
		if len(t.Scopes) == 0 { // else it says the same
			return d.scopes(scopes)
		}
	case `"services"`:
		return d.services(&t.Services)
	case `"service_id"`:
		return d.recurring(serviceID)
	case `"created_at"`:
		return d.time(&t.CreatedAt)
	case `"updated_at"`:
		return d.time(&t.UpdatedAt)
	case `"deleted_at"`:
		return d.time(&t.DeletedAt)
	case `"expires_at"`:
		return d.time(&t.ExpiresAt)
	case `"last_used_at"`:
		return d.time(&t.LastUsedAt)
	case `"sudo_expires_at"`:
		return d.time(&t.SudoExpiresAt)
	case `"ip"`:
		return d.text(&t.IP)
	case `"user_agent"`:
		return d.recurring(&t.UserAgent)
	case `"access_token"`:
		if secret != nil {
			return d.text((*string)(secret))
		}
	}
	return d.SkipValue()
}

// fail notes the first thing that is not as it should be.
func (d *tokenDecoder) fail(format string, args ...any) {
	if d.invalid == nil {
		d.invalid = invalidResponse(format, args...)
	}
}

// unquote returns the text of a string, or nothing for null. It is valid until the
// next call.
func (d *tokenDecoder) unquote(value jsontext.Value) []byte {
	switch kind := value.Kind(); {
	case kind == '"':
		d.buf, _ = jsontext.AppendUnquote(d.buf[:0], value) // whether UTF-8 must be valid is for the Decoder to say
		return d.buf
	case kind != 'n':
		d.fail("%s has an unexpected type", d.name)
	}
	return nil
}

// text reads a string into to, unless it is null or empty.
func (d *tokenDecoder) text(to *string) error {
	value, err := d.ReadValue()
	if err == nil {
		*to = cmp.Or(string(d.unquote(value)), *to)
	}
	return err
}

// recurring is text for a string that other tokens of a list have, too.
func (d *tokenDecoder) recurring(to *string) error {
	value, err := d.ReadValue()
	if err == nil {
		*to = cmp.Or(d.share(value), *to)
	}
	return err
}

func (d *tokenDecoder) share(value jsontext.Value) string {
	s, ok := d.shared[string(value)]
	if !ok {
		s = string(d.unquote(value))
		if d.shared != nil {
			d.shared[string(value)] = s
		}
	}
	return s
}

// array reads an array of strings, without null and empty ones.
func (d *tokenDecoder) array() ([]string, error) {
	_, err := d.ReadToken()
	d.items = d.items[:0]
	for err == nil && d.PeekKind() != ']' {
		var item string
		if err = d.recurring(&item); item != "" {
			d.items = append(d.items, item)
		}
	}
	if err == nil {
		_, err = d.ReadToken()
	}
	return append([]string{}, d.items...), err // not nil, so that it encodes as []
}

// scopes reads the space-delimited form, or the array that some responses have.
func (d *tokenDecoder) scopes(to *Scopes) error {
	if d.PeekKind() == '[' {
		list, err := d.array()
		for _, scope := range list {
			*to = append(*to, Scope(scope))
		}
		return err
	}
	var text string
	err := d.recurring(&text)
	if text != "" {
		*to = splitScopes(text)
	}
	return err
}

func (d *tokenDecoder) services(to *[]string) (err error) {
	if d.PeekKind() == '[' {
		*to, err = d.array()
		return err
	}
	var text string
	if err = d.text(&text); text != "" {
		d.fail("%s has an unexpected type", d.name)
	}
	return err
}

// time reads an RFC 3339 time as UTC.
func (d *tokenDecoder) time(to *time.Time) error {
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	text := d.unquote(value)
	if len(text) == 0 {
		return nil
	}
	var t time.Time
	if err := t.UnmarshalText(text); err == nil {
		t = t.UTC()
		if year := t.Year(); year >= 0 && year <= 9999 {
			*to = t
			return nil
		}
	}
	d.fail("%s is not an RFC 3339 time", d.name)
	return nil
}

// decoders keep their buffers from one response to the next.
var decoders = sync.Pool{New: func() any { return newTokenDecoder(http.NoBody) }}

// decodeBody reads one value, and makes sure that nothing follows it.
func decodeBody[T any](body io.Reader, limit int, read func(*tokenDecoder) (T, error)) (T, error) {
	bounded := &boundedReader{r: body, limit: limit}
	d := decoders.Get().(*tokenDecoder)
	d.Reset(bounded)
	d.invalid, d.shared = nil, nil
	value, err := read(d)
	if err = cmp.Or(err, d.invalid); err == nil {
		err = d.end()
	}
	if err != nil {
		return *new(T), bounded.explain(err)
	}
	decoders.Put(d)
	return value, nil
}

func decodeToken(resp *http.Response) (*TokenResponse, error) {
	return decodeBody(resp.Body, maxTokenBytes, func(d *tokenDecoder) (*TokenResponse, error) {
		t := new(TokenResponse)
		return t, d.token(t, nil)
	})
}

func decodeTokens(resp *http.Response) ([]TokenResponse, error) {
	return decodeBody(resp.Body, maxListBytes, func(d *tokenDecoder) ([]TokenResponse, error) {
		d.shared = map[string]string{}
		list := []TokenResponse{}
		err := d.begin('[', "a JSON array")
		for err == nil && d.invalid == nil && d.PeekKind() != ']' {
			if len(list) == maxTokens {
				return nil, invalidResponse("it holds more than %d tokens", maxTokens)
			}
			if len(list) == cap(list) {
				list = slices.Grow(list, max(len(list), 16))
			}
			list = append(list, TokenResponse{})
			err = d.token(&list[len(list)-1], nil)
		}
		if err == nil && d.invalid == nil {
			_, err = d.ReadToken()
		}
		return list, err
	})
}

// decodeCreated returns what can be read of a created token, together with the
// error if that is not all: the access token is shown only once.
func decodeCreated(resp *http.Response) (*TokenCreatedResponse, error) {
	bounded := &boundedReader{r: resp.Body, limit: maxTokenBytes}
	text, _ := io.ReadAll(bounded) // bounded keeps the error
	created, err := decodeBody(bytes.NewReader(text), maxTokenBytes, func(d *tokenDecoder) (*TokenCreatedResponse, error) {
		created := new(TokenCreatedResponse)
		err := d.token(&created.TokenResponse, &created.AccessToken)
		if created.AccessToken == "" {
			d.fail("it has no access token")
		}
		return created, err
	})
	if err = cmp.Or(bounded.err, err); err != nil {
		return recoverCreated(text, err)
	}
	return created, nil
}

// decodeRevoked reads a 2xx to a revoke. It is the API's only if it is empty or
// JSON: a captive portal, say, sends a page with a 200.
func decodeRevoked(resp *http.Response) (struct{}, error) {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	if text = bytes.TrimSpace(text); len(text) > 0 {
		kind := jsontext.NewDecoder(bytes.NewReader(text)).PeekKind()
		if kind == 0 || err == nil && !jsontext.Value(text).IsValid(lenient...) {
			return struct{}{}, invalidResponse("it is not JSON")
		}
	}
	if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType == "text/html" {
		return struct{}{}, invalidResponse("it is a page of HTML")
	}
	if err != nil {
		err = &truncatedError{err}
	}
	return struct{}{}, err
}

// invalidResponseError says why a 2xx is not the response it should be.
type invalidResponseError struct{ text string }

func (e *invalidResponseError) Error() string { return e.text }

func invalidResponse(format string, args ...any) error {
	return &invalidResponseError{"the response is not what the API sends: " + fmt.Sprintf(format, args...)}
}

// truncatedError is the error of a body that breaks off.
type truncatedError struct{ err error }

func (e *truncatedError) Error() string { return "the response was cut off: " + e.err.Error() }
func (e *truncatedError) Unwrap() error { return e.err }

// truncatedBy returns the error of a response that could not be read, of an attempt
// that ended, unless ended is nil. A server that notices may end the body properly, so
// that what is missing looks like a wrong response.
func truncatedBy(ended, err error) error {
	if ended == nil || isA[*truncatedError](err) {
		return err
	}
	if recovered, ok := errors.AsType[*recoveredError](err); ok {
		return &recoveredError{&truncatedError{ended}, recovered.unverified}
	}
	return &truncatedError{ended}
}
