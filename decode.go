package fastly

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"html"
	"io"
	"strings"
	"sync"
	"time"

	// The mirror of encoding/json/jsontext for toolchains before Go 1.27.
	"github.com/go-json-experiment/json/jsontext"
)

// How much of an answer is read. What is longer is an error, and never read to
// its end.
const (
	maxListBytes   = 64 << 20
	maxAnswerBytes = 1 << 20
	maxErrorBytes  = 64 << 10
)

// answerError says why a 2xx is not the answer it should be. It never quotes
// the answer, which may hold an access token.
type answerError struct{ text string }

func (e *answerError) Error() string { return e.text }

func notAToken(format string, args ...any) error {
	return &answerError{"the answer is not what the API sends: " + fmt.Sprintf(format, args...)}
}

// cutError is a body that broke off.
type cutError struct{ err error }

func (e *cutError) Error() string { return "the answer broke off: " + e.err.Error() }
func (e *cutError) Unwrap() error { return e.err }

// boundedReader reads up to its bound and remembers how reading ended, which a
// decoder's own error would hide.
type boundedReader struct {
	r     io.Reader
	left  int64
	limit int64
	err   error // other than io.EOF
}

func newBoundedReader(r io.Reader, limit int64) *boundedReader {
	return &boundedReader{r: r, left: limit, limit: limit}
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	// One byte more than is allowed tells an answer that fits from one that
	// doesn't.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		n, err = int(b.left), notAToken("it is longer than %d MiB", b.limit>>20)
	} else if err != nil && err != io.EOF {
		err = &cutError{err}
	}
	b.left -= int64(n)
	if err != io.EOF {
		b.err = err
	}
	return n, err
}

// because is the reason for a decoder's error: the body's end if it is at
// fault, else the text itself.
func (b *boundedReader) because(err error) error {
	var syntactic *jsontext.SyntacticError
	switch {
	case err == nil:
		return nil
	case b.err != nil:
		return b.err
	case errors.Is(err, jsontext.ErrDuplicateName):
		return notAToken("a member comes twice in its JSON")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		if b.left == b.limit {
			return notAToken("it is empty")
		}
		return notAToken("its JSON ends too early")
	case errors.As(err, &syntactic):
		return notAToken("it is not valid JSON at byte %d", syntactic.ByteOffset)
	}
	return err
}

// decoder reads token objects from JSON text, member by member and without a
// copy of the text. Its methods do nothing once err is set.
type decoder struct {
	json *jsontext.Decoder
	// err is what ended the reading: the body, or its JSON.
	err error
	// bad is the first member whose form is unknown. Reading goes on.
	bad error
	// name is that of the member being read.
	name []byte
	// shared holds strings that come again and again in a list: users,
	// customers, scopes, services, user agents. Nil for a single token.
	shared map[string]string
}

// maxShared bounds the memory spent on strings that turn out not to repeat.
const maxShared = 1 << 10

// object reads one token object. secret is where its access token goes, nil to
// leave it. A member that can't be read is left at its zero value.
func (d *decoder) object(t *TokenResponse, secret *Secret) {
	if !d.open('{', "a JSON object") {
		return
	}
	var scopes Scopes
	var service string
	for d.next('}') {
		switch d.readName(); string(d.name) {
		case "id":
			t.ID = d.text()
		case "name":
			t.Name = d.text()
		case "user_id":
			t.UserID = d.repeated()
		case "customer_id":
			t.CustomerID = d.repeated()
		case "scope":
			t.Scopes = d.scopes()
		case "scopes":
			scopes = d.scopes()
		case "services":
			t.Services = readArray[string](d)
		case "service_id":
			service = d.repeated()
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
			t.IP = d.repeated()
		case "user_agent":
			t.UserAgent = d.repeated()
		case "access_token":
			if token := d.text(); secret != nil {
				*secret = Secret(token)
			}
		default:
			d.skip()
		}
	}
	d.close()
	if len(t.Scopes) == 0 {
		t.Scopes = scopes
	}
	// A token of the legacy form is limited to one service: not to say so
	// would pass it off as one for the whole account.
	if len(t.Services) == 0 && service != "" {
		t.Services = []string{service}
	}
	if t.ID == "" {
		d.wrong(notAToken("it has no token ID"))
	}
}

// open reads the start of an object or array.
func (d *decoder) open(kind jsontext.Kind, what string) bool {
	if d.err != nil {
		return false
	}
	if found := d.json.PeekKind(); found != kind && found != 0 {
		d.err = notAToken("it is not %s", what)
		return false
	}
	_, d.err = d.json.ReadToken()
	return d.err == nil
}

// next reports whether there is more before the closing kind.
func (d *decoder) next(closing jsontext.Kind) bool {
	return d.err == nil && d.json.PeekKind() != closing
}

// close reads the end of an object or array.
func (d *decoder) close() {
	if d.err == nil {
		_, d.err = d.json.ReadToken()
	}
}

// end makes sure that nothing comes after the answer.
func (d *decoder) end() {
	if d.err != nil {
		return
	}
	_, err := d.json.ReadToken()
	switch {
	case err == io.EOF:
	case err == nil, errors.As(err, new(*jsontext.SyntacticError)):
		d.err = notAToken("there is more after its end")
	default:
		d.err = err
	}
}

func (d *decoder) skip() {
	if d.err == nil {
		d.err = d.json.SkipValue()
	}
}

func (d *decoder) wrong(err error) {
	if d.err == nil && d.bad == nil {
		d.bad = err
	}
}

func (d *decoder) readName() {
	d.name = d.name[:0]
	var raw jsontext.Value
	if raw, d.err = d.json.ReadValue(); d.err == nil {
		text, _ := unquote(raw)
		d.name = append(d.name, text...)
	}
}

// str reads a string. It is valid until the next read. A null is none.
func (d *decoder) str() (text []byte, ok bool) {
	if d.err != nil {
		return nil, false
	}
	switch d.json.PeekKind() {
	case 'n':
		d.skip()
		return nil, false
	case '"':
		var raw jsontext.Value
		if raw, d.err = d.json.ReadValue(); d.err != nil {
			return nil, false
		}
		text, ok = unquote(raw)
	default:
		d.skip()
	}
	if !ok {
		d.wrong(notAToken("the form of %q is unknown", d.name))
	}
	return text, ok
}

// unquote is the text of a JSON string, a part of it where that can be.
func unquote(quoted jsontext.Value) ([]byte, bool) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], true
	}
	text, err := jsontext.AppendUnquote(nil, quoted)
	return text, err == nil
}

// text reads a string that no other token is likely to have.
func (d *decoder) text() string {
	text, _ := d.str()
	return string(text)
}

// repeated reads a string that other tokens of a list are likely to have.
func (d *decoder) repeated() string {
	text, _ := d.str()
	return d.share(text)
}

func (d *decoder) share(text []byte) string {
	if d.shared == nil {
		return string(text)
	}
	if s, ok := d.shared[string(text)]; ok {
		return s
	}
	s := string(text)
	if len(d.shared) < maxShared {
		d.shared[s] = s
	}
	return s
}

// scopes reads the space-delimited form, or the array that some answers have
// beside it.
func (d *decoder) scopes() Scopes {
	if d.err == nil && d.json.PeekKind() == '[' {
		return readArray[Scope](d)
	}
	text, ok := d.str()
	if !ok {
		return nil
	}
	scopes := make(Scopes, 0, 1+bytes.Count(text, []byte{' '}))
	for name := range bytes.FieldsSeq(text) {
		scopes = append(scopes, Scope(d.share(name)))
	}
	return scopes
}

// readArray reads an array of strings. Nulls in it are left out.
func readArray[S ~string](d *decoder) []S {
	if d.err != nil || d.json.PeekKind() != '[' {
		if _, ok := d.str(); ok {
			d.wrong(notAToken("the form of %q is unknown", d.name))
		}
		return nil
	}
	var list []S
	d.open('[', "a JSON array")
	for d.next(']') {
		if text, ok := d.str(); ok {
			list = append(list, S(d.share(text)))
		}
	}
	d.close()
	return list
}

// time reads an RFC 3339 time, as UTC.
func (d *decoder) time() (t time.Time) {
	text, ok := d.str()
	if !ok {
		return t
	}
	// "+00:00" would cost a time zone for each.
	var buf [40]byte
	if utc, ok := bytes.CutSuffix(text, []byte("+00:00")); ok && len(utc) < len(buf) {
		text = append(append(buf[:0], utc...), 'Z')
	}
	if err := t.UnmarshalText(text); err != nil {
		d.wrong(notAToken("%q is not an RFC 3339 time", d.name))
		return time.Time{}
	}
	return t.UTC()
}

var decoders = sync.Pool{New: func() any { return &decoder{json: new(jsontext.Decoder)} }}

// decode runs read on a pooled decoder over an answer of at most limit bytes.
func decode(body io.Reader, limit int64, read func(*decoder)) error {
	r := newBoundedReader(body, limit)
	d := decoders.Get().(*decoder)
	d.json.Reset(r)
	read(d)
	d.end()
	if d.err != nil || d.bad != nil {
		// Not back to the pool: the buffer may have grown to the bound.
		return r.because(cmp.Or(d.err, d.bad))
	}
	d.shared = nil
	decoders.Put(d)
	return nil
}

func decodeToken(body io.Reader) (*TokenResponse, error) {
	t := new(TokenResponse)
	if err := decode(body, maxAnswerBytes, func(d *decoder) { d.object(t, nil) }); err != nil {
		return nil, err
	}
	return t, nil
}

func decodeTokens(body io.Reader) ([]TokenResponse, error) {
	var list blocks
	err := decode(body, maxListBytes, func(d *decoder) {
		d.shared = make(map[string]string, 16)
		if !d.open('[', "a JSON array") {
			return
		}
		for d.next(']') && d.bad == nil {
			d.object(list.add(), nil)
		}
		d.close()
	})
	if err != nil {
		return nil, err
	}
	return list.join(), nil
}

// blocks is a list that grows without moving what it holds: a slice that grows
// by append leaves several times its size behind.
type blocks struct {
	full [][]TokenResponse
	last []TokenResponse
	n    int
}

func (b *blocks) add() *TokenResponse {
	if len(b.last) == cap(b.last) {
		b.full = append(b.full, b.last)
		b.last = make([]TokenResponse, 0, min(max(8, b.n), 4096))
	}
	b.n++
	b.last = b.last[:len(b.last)+1]
	return &b.last[len(b.last)-1]
}

func (b *blocks) join() []TokenResponse {
	all := make([]TokenResponse, 0, b.n)
	for _, block := range b.full {
		all = append(all, block...)
	}
	return append(all, b.last...)
}

// decodeCreated returns what it could read of a created token together with
// the error, if there is one: the access token is shown only once.
func decodeCreated(body io.Reader) (*TokenCreatedResponse, error) {
	text, readErr := io.ReadAll(newBoundedReader(body, maxAnswerBytes))
	created := new(TokenCreatedResponse)
	whole := newBoundedReader(bytes.NewReader(text), maxAnswerBytes)
	d := decoder{json: jsontext.NewDecoder(whole)}
	d.object(&created.TokenResponse, &created.AccessToken)
	d.end()
	if created.AccessToken == "" {
		d.wrong(notAToken("it has no access token"))
	}
	err := readErr
	if err == nil {
		err = whole.because(cmp.Or(d.err, d.bad))
	}
	if err == nil {
		return created, nil
	}
	salvage(text, created)
	if created.AccessToken == "" && created.ID == "" {
		return nil, err
	}
	return created, err
}

// salvage fills in what can be read of a created token whose JSON is broken,
// first from what comes before the break, then from anywhere.
func salvage(text []byte, created *TokenCreatedResponse) {
	if created.AccessToken != "" && created.ID != "" {
		return
	}
	d := decoder{json: jsontext.NewDecoder(bytes.NewReader(text), lenient...)}
	d.object(&created.TokenResponse, &created.AccessToken)
	if created.AccessToken == "" {
		created.AccessToken = Secret(findString(text, "access_token"))
	}
	if created.ID == "" {
		created.ID = findString(text, "id")
	}
}

// findString looks for a whole JSON string behind the given name in any text.
func findString(text []byte, name string) string {
	for {
		_, rest, found := bytes.Cut(text, []byte(`"`+name+`"`))
		if !found {
			return ""
		}
		text = rest
		value, isMember := bytes.CutPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte{':'})
		if !isMember {
			continue
		}
		raw, err := jsontext.NewDecoder(bytes.NewReader(value), lenient...).ReadValue()
		if err == nil && raw.Kind() == '"' {
			return scalar(raw)
		}
	}
}

// said is what an error body says, whichever shape it has. Anything is taken:
// it is read only to be shown.
type said struct{ msg, detail, code string }

func decodeError(body []byte) said {
	text := bytes.TrimSpace(body)
	switch {
	case len(text) == 0:
		return said{}
	case text[0] == '{':
		return decodeErrorObject(text)
	case text[0] == '<':
		return said{msg: htmlTitle(string(text))}
	}
	return said{msg: string(text)}
}

func decodeErrorObject(text []byte) said {
	members := readObject(text)
	if list := members["errors"]; list.Kind() == '[' {
		// JSON:API: the first error stands for all.
		dec := jsontext.NewDecoder(bytes.NewReader(list), lenient...)
		_, _ = dec.ReadToken()
		if first, err := dec.ReadValue(); err == nil && first.Kind() == '{' {
			members = readObject(first)
		}
	}
	return said{
		msg:    cmp.Or(scalar(members["msg"]), scalar(members["title"])),
		detail: scalar(members["detail"]),
		code:   scalar(members["code"]),
	}
}

// lenient is for texts whose faults are reported elsewhere, or don't matter.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// readObject returns the members of a JSON object as far as they can be read.
func readObject(text []byte) map[string]jsontext.Value {
	members := make(map[string]jsontext.Value)
	dec := jsontext.NewDecoder(bytes.NewReader(text), lenient...)
	_, err := dec.ReadToken()
	for err == nil && dec.PeekKind() == '"' {
		var name, value jsontext.Value
		if name, err = dec.ReadValue(); err != nil {
			break
		}
		key := scalar(name)
		if value, err = dec.ReadValue(); err == nil {
			members[key] = value.Clone()
		}
	}
	return members
}

// scalar is a string or number as text.
func scalar(value jsontext.Value) string {
	switch value.Kind() {
	case '"':
		text, _ := jsontext.AppendUnquote(nil, value)
		return string(text)
	case '0':
		return value.String()
	}
	return ""
}

// htmlTitle is the title of an HTML page, else nothing: its body is no message.
func htmlTitle(page string) string {
	lower := strings.ToLower(page)
	start := strings.Index(lower, "<title")
	if start < 0 || len(lower) != len(page) {
		return ""
	}
	open := strings.IndexByte(lower[start:], '>')
	end := strings.Index(lower[start:], "</title")
	if open < 0 || end < open {
		return ""
	}
	return strings.Join(strings.Fields(html.UnescapeString(page[start+open+1:start+end])), " ")
}

// jsonEscape is s as it stands between the quotes of a JSON string.
func jsonEscape(s string) string {
	quoted, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		return s // not UTF-8: it can't stand in JSON
	}
	return string(quoted[1 : len(quoted)-1])
}
