package fastly

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"html"
	"io"
	"iter"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	// maxTokens bounds the memory of a list of next to nothing.
	maxTokens = 500_000
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
	err   error  // other than io.EOF
	kept  []byte // what was read, unless nil
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
	switch {
	case int64(n) > b.left:
		n, b.err = int(b.left), notAToken("it is longer than %d MiB", b.limit>>20)
		err = b.err
	case err != nil && !errors.Is(err, io.EOF):
		b.err = &cutError{err}
		err = b.err
	}
	b.left -= int64(n)
	if b.kept != nil {
		b.kept = append(b.kept, p[:n]...)
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

// reader turns the members of JSON objects into tokens.
type reader struct {
	pool pool  // where strings and slices come from
	bad  error // the first thing that is not as it should be
	// escaped says that the object at hand has escapes in it somewhere.
	escaped bool
	name    []byte
}

// token reads a token from a valid JSON object. secret is where its access
// token goes, nil to leave it. A member that can't be read is left at its zero
// value.
func (r *reader) token(object jsontext.Value, t *TokenResponse, secret *Secret) {
	var scopes Scopes
	var service string
	var met uint64 // names, by their marks
	// The names of an object within this one count, too.
	doubtful := bytes.IndexByte(object[1:], '{') >= 0
	r.escaped = bytes.IndexByte(object, '\\') >= 0
	for name, value := range members(object, r.escaped) {
		mark := uint64(1) << markOf(name)
		doubtful = doubtful || met&mark != 0
		met |= mark
		if value[0] == 'n' {
			continue
		}
		r.name = name
		switch string(name) {
		case "id":
			t.ID = r.text(value)
		case "name":
			t.Name = r.text(value)
		case "user_id":
			t.UserID = r.repeated(value)
		case "customer_id":
			t.CustomerID = r.repeated(value)
		case "scope":
			t.Scopes = r.scopes(value)
		case "scopes":
			if len(t.Scopes) == 0 { // else it says the same
				scopes = r.scopes(value)
			}
		case "services":
			t.Services = r.services(value)
		case "service_id":
			service = r.repeated(value)
		case "created_at":
			t.CreatedAt = r.time(value)
		case "updated_at":
			t.UpdatedAt = r.time(value)
		case "deleted_at":
			t.DeletedAt = r.time(value)
		case "expires_at":
			t.ExpiresAt = r.time(value)
		case "last_used_at":
			t.LastUsedAt = r.time(value)
		case "sudo_expires_at":
			t.SudoExpiresAt = r.time(value)
		case "ip":
			t.IP = r.text(value)
		case "user_agent":
			t.UserAgent = r.repeated(value)
		case "access_token":
			if secret != nil {
				*secret = Secret(r.text(value))
			}
		}
	}
	if len(t.Scopes) == 0 {
		t.Scopes = scopes
	}
	// A token of the legacy form is limited to one service: not to say so
	// would pass it off as one for the whole account.
	if len(t.Services) == 0 && service != "" {
		t.Services = []string{service}
	}
	if t.ID == "" {
		r.wrong("it has no token ID")
	}
	if doubtful && !isStrict(object) {
		r.wrong("a member comes twice in its JSON")
	}
}

// isStrict reports whether a value is valid JSON with no name twice in an object,
// on any level.
func isStrict(value jsontext.Value) bool { return value.IsValid() }

// markOf is a number below 64 that differs between the names that token knows.
func markOf(name []byte) int {
	if len(name) < 2 {
		return 0
	}
	return (2*int(name[0]) + 3*int(name[1]) + 2*len(name)) % 64
}

// wrong notes the first thing that is not as it should be.
func (r *reader) wrong(format string, args ...any) {
	if r.bad == nil {
		r.bad = notAToken(format, args...)
	}
}

// plain is the text of a string.
func (r *reader) plain(value jsontext.Value) []byte {
	if value[0] != '"' {
		r.wrong("the form of %q is unknown", r.name)
		return nil
	}
	text := value[1 : len(value)-1]
	if r.escaped {
		return unescape(text)
	}
	return text
}

// text is a string that no other token is likely to have.
func (r *reader) text(value jsontext.Value) string { return r.pool.text(r.plain(value)) }

// repeated is a string that other tokens of a list are likely to have.
func (r *reader) repeated(value jsontext.Value) string { return r.pool.repeated(r.plain(value)) }

// scopes reads the space-delimited form, or the array that some answers have
// beside it.
func (r *reader) scopes(value jsontext.Value) Scopes {
	names := make([]Scope, 0, few)
	if value[0] == '[' {
		for item := range elements(value) {
			names = append(names, scope(r.plain(item)))
		}
	} else {
		for name := range bytes.FieldsSeq(r.plain(value)) {
			names = append(names, scope(name))
		}
	}
	return carve(&r.pool.names, names)
}

// scope copies the name only if it is none of the known ones.
func scope(name []byte) Scope {
	switch s := Scope(name); s {
	case ScopeGlobal:
		return ScopeGlobal
	case ScopePurgeSelect:
		return ScopePurgeSelect
	case ScopePurgeAll:
		return ScopePurgeAll
	case ScopeGlobalRead:
		return ScopeGlobalRead
	}
	return Scope(name)
}

func (r *reader) services(value jsontext.Value) []string {
	if value[0] != '[' {
		r.wrong("the form of %q is unknown", r.name)
		return nil
	}
	ids := make([]string, 0, few)
	for item := range elements(value) {
		ids = append(ids, r.repeated(item))
	}
	if len(ids) == 0 {
		return []string{} // marshals to what it was
	}
	return carve(&r.pool.services, ids)
}

// time reads an RFC 3339 time, as UTC.
func (r *reader) time(value jsontext.Value) (t time.Time) {
	text := r.plain(value)
	// "+00:00" would cost a time zone for each.
	var buf [40]byte
	if utc, ok := bytes.CutSuffix(text, []byte("+00:00")); ok && len(utc) < len(buf) {
		text = append(append(buf[:0], utc...), 'Z')
	}
	if err := t.UnmarshalText(text); err == nil && t.Location() == time.UTC {
		return t
	} else if year := t.UTC().Year(); err == nil && year >= 0 && year <= 9999 {
		return t.UTC()
	}
	r.wrong("%q is not an RFC 3339 time", r.name)
	return time.Time{}
}

// unescape resolves the escapes in what stands between the quotes of a string.
func unescape(text []byte) []byte {
	if bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	quoted := slices.Concat([]byte{'"'}, text, []byte{'"'})
	plain, _ := jsontext.AppendUnquote(nil, quoted)
	return plain
}

// members yields the members of an object, and elements the values of an array
// that are not null. Both take text that a jsontext.Decoder has found valid, so
// that all that is left to do is to find where things end.
// escaped tells members whether names may have escapes to be resolved.
func members(object jsontext.Value, escaped bool) iter.Seq2[[]byte, jsontext.Value] {
	return func(yield func([]byte, jsontext.Value) bool) {
		for rest := inside(object); len(rest) > 0; {
			end := valueEnd(rest)
			name := rest[1 : end-1]
			if escaped {
				name = unescape(name)
			}
			rest = trim(trim(rest[end:])[1:]) // the colon
			end = valueEnd(rest)
			if !yield(name, rest[:end]) {
				return
			}
			rest = next(rest[end:])
		}
	}
}

func elements(array jsontext.Value) iter.Seq[jsontext.Value] {
	return func(yield func(jsontext.Value) bool) {
		for rest := inside(array); len(rest) > 0; {
			end := valueEnd(rest)
			if value := rest[:end]; value[0] != 'n' && !yield(value) {
				return
			}
			rest = next(rest[end:])
		}
	}
}

// inside is the text between the brackets of an object or array.
func inside(value jsontext.Value) jsontext.Value { return trim(value[1 : len(value)-1]) }

// next is the text after a comma, if there is one.
func next(text jsontext.Value) jsontext.Value {
	if text = trim(text); len(text) > 0 {
		text = trim(text[1:])
	}
	return text
}

// trim cuts white space off the start.
func trim(text jsontext.Value) jsontext.Value {
	for len(text) > 0 && text[0] <= ' ' {
		text = text[1:]
	}
	return text
}

// valueEnd is the length of the value that the text starts with.
func valueEnd(text []byte) int {
	switch text[0] {
	case '"':
		return stringEnd(text)
	case '{', '[':
		for i, depth := 0, 0; i < len(text); i++ {
			switch text[i] {
			case '"':
				i += stringEnd(text[i:]) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	for i, c := range text {
		if c == ',' || c == '}' || c == ']' || c <= ' ' {
			return i
		}
	}
	return len(text)
}

// stringEnd is the length of the string that the text starts with.
func stringEnd(text []byte) int {
	for i := skipPlain(text, 1); i < len(text); i = skipPlain(text, i+1) {
		switch text[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(text)
}

// skipPlain is where, from i on, the first quote or backslash is, or less than
// eight bytes are left. To look at eight at a time takes a twentieth off a list.
// The lowest high bit of a byte that (x-ones)&^x has is that of x's lowest zero.
func skipPlain(text []byte, i int) int {
	const ones = 0x0101010101010101
	for ; i+8 <= len(text); i += 8 {
		word := binary.LittleEndian.Uint64(text[i:])
		quote, backslash := word^ones*'"', word^ones*'\\'
		if found := ((quote-ones)&^quote | (backslash-ones)&^backslash) & (ones << 7); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	return i
}

// pool is the memory of an answer. Tokens share strings that come again and
// again (users, customers, services, user agents), and small chunks of memory
// for the rest: one allocation for many tokens, and little that a token that is
// kept holds on to.
type pool struct {
	seen     *[256]string // each where its hash says, until another one is put there
	chars    strings.Builder
	services []string
	names    []Scope
}

const (
	// maxChunk and maxItems bound a chunk, in bytes and in strings.
	maxChunk = 4 << 10
	maxItems = 128
	// few is how many strings a list of a token's has at the most to come from
	// a chunk.
	few = maxItems / 16
)

var seed = maphash.MakeSeed()

func (p *pool) text(text []byte) string {
	if len(text) > maxChunk/16 {
		return string(text)
	}
	if p.chars.Cap()-p.chars.Len() < len(text) {
		size := min(max(2*p.chars.Cap(), maxChunk/16), maxChunk)
		p.chars.Reset()
		p.chars.Grow(size)
	}
	start := p.chars.Len()
	p.chars.Write(text)
	return p.chars.String()[start:]
}

func (p *pool) repeated(text []byte) string {
	if p.seen == nil {
		return p.text(text)
	}
	s := &p.seen[maphash.Bytes(seed, text)%uint64(len(p.seen))]
	if *s != string(text) {
		*s = p.text(text)
	}
	return *s
}

// carve copies list to the end of a chunk, with no room to grow into the next.
func carve[T any](chunk *[]T, list []T) []T {
	if len(list) == 0 {
		return nil
	}
	if len(list) > few {
		return slices.Clone(list)
	}
	if cap(*chunk)-len(*chunk) < len(list) {
		*chunk = make([]T, 0, min(max(2*cap(*chunk), len(list)), maxItems))
	}
	start := len(*chunk)
	*chunk = append(*chunk, list...)
	return (*chunk)[start:len(*chunk):len(*chunk)]
}

var decoders = sync.Pool{New: func() any { return new(jsontext.Decoder) }}

// namesUnchecked leaves it to token to find names that come twice: to compare
// each with all that came before takes an eighth of the time of a long list.
var namesUnchecked = []jsontext.Options{jsontext.AllowDuplicateNames(true)}

// decode reads one JSON value, and makes sure that nothing comes after it.
func decode(body *boundedReader, read func(*jsontext.Decoder) error) error {
	dec := decoders.Get().(*jsontext.Decoder)
	dec.Reset(body, namesUnchecked...)
	err := read(dec)
	if err == nil {
		err = expectEnd(dec)
	}
	if err != nil {
		// Not back to the pool: the buffer may have grown to the bound.
		return body.because(err)
	}
	decoders.Put(dec)
	return nil
}

func expectEnd(dec *jsontext.Decoder) error {
	_, err := dec.ReadToken()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil, errors.As(err, new(*jsontext.SyntacticError)):
		return notAToken("there is more after its end")
	}
	return err
}

// expect makes sure that a value of the kind comes next, or the input's error.
func expect(dec *jsontext.Decoder, kind jsontext.Kind, what string) error {
	if found := dec.PeekKind(); found != kind && found != 0 {
		return notAToken("it is not %s", what)
	}
	return nil
}

// readToken reads the next value as a token object.
func (r *reader) readToken(dec *jsontext.Decoder, t *TokenResponse, secret *Secret) error {
	if err := expect(dec, '{', "a JSON object"); err != nil {
		return err
	}
	object, err := dec.ReadValue()
	if err == nil {
		r.token(object, t, secret)
	}
	return err
}

func decodeToken(body io.Reader) (*TokenResponse, error) {
	var r reader
	t := new(TokenResponse)
	err := decode(newBoundedReader(body, maxAnswerBytes), func(dec *jsontext.Decoder) error { return r.readToken(dec, t, nil) })
	if err = cmp.Or(err, r.bad); err != nil {
		return nil, err
	}
	return t, nil
}

// decodeTokens returns a decoder of lists. expected holds the length of the
// last list and so, as a rule, about that of the next.
func decodeTokens(expected *atomic.Int64) func(io.Reader) ([]TokenResponse, error) {
	return func(body io.Reader) ([]TokenResponse, error) {
		var r reader
		list := blocks{expected: int(expected.Load())}
		err := decode(newBoundedReader(body, maxListBytes), func(dec *jsontext.Decoder) error {
			if err := expect(dec, '[', "a JSON array"); err != nil {
				return err
			}
			_, err := dec.ReadToken()
			for err == nil && r.bad == nil && dec.PeekKind() != ']' {
				if list.n == maxTokens {
					return notAToken("it holds more than %d tokens", maxTokens)
				}
				err = r.readToken(dec, list.add(), nil)
				if list.n == minBlock { // a short list isn't worth a table
					r.pool.seen = new([256]string)
				}
			}
			if err = cmp.Or(err, r.bad); err == nil {
				_, err = dec.ReadToken()
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		expected.Store(int64(list.n))
		return list.join(), nil
	}
}

// blocks is a list that grows without moving what it holds: a slice that grows
// by append leaves several times its size behind.
type blocks struct {
	full     [][]TokenResponse
	last     []TokenResponse
	n        int
	expected int
}

// The size of a block, in tokens. No more than firstBlock is allocated for a
// list that is expected to be long before it turns out not to be short.
const (
	minBlock   = 8
	firstBlock = 1 << 10
	maxBlock   = 4 << 10
)

func (b *blocks) add() *TokenResponse {
	if len(b.last) == cap(b.last) {
		switch {
		case b.n == 0:
			b.last = make([]TokenResponse, 0, min(cmp.Or(b.expected, minBlock), firstBlock))
		case b.n < b.expected:
			b.last = append(make([]TokenResponse, 0, b.expected), b.last...)
		default:
			b.full = append(b.full, b.last)
			b.last = make([]TokenResponse, 0, min(max(b.n, minBlock), maxBlock))
		}
	}
	b.n++
	b.last = b.last[:len(b.last)+1]
	return &b.last[len(b.last)-1]
}

// join returns the list in one piece, without a copy if it nearly fills one.
func (b *blocks) join() []TokenResponse {
	switch {
	case b.n == 0:
		return []TokenResponse{}
	case len(b.full) == 0 && b.n >= cap(b.last)/4*3:
		return b.last[:b.n:b.n]
	}
	return slices.Concat(append(b.full, b.last)...)
}

// decodeCreated returns what it could read of a created token together with
// the error, if there is one: the access token is shown only once.
func decodeCreated(body io.Reader) (*TokenCreatedResponse, error) {
	text := newBoundedReader(body, maxAnswerBytes)
	text.kept = make([]byte, 0, 512)
	var r reader
	created := new(TokenCreatedResponse)
	err := decode(text, func(dec *jsontext.Decoder) error {
		return r.readToken(dec, &created.TokenResponse, &created.AccessToken)
	})
	if created.AccessToken == "" {
		r.wrong("it has no access token")
	}
	if err = cmp.Or(err, r.bad); err == nil {
		return created, nil
	}
	// What matters may come after what is wrong.
	_, cut := io.Copy(io.Discard, text)
	err = cmp.Or(cut, err)
	if created.AccessToken == "" || created.ID == "" {
		if salvage(text.kept, created) {
			err = &guessError{err}
		}
	}
	if created.AccessToken == "" && created.ID == "" {
		return nil, err
	}
	return created, err
}

// guessError is the error of an answer whose access token was not where it
// should be.
type guessError struct{ err error }

func (e *guessError) Error() string { return e.err.Error() }
func (e *guessError) Unwrap() error { return e.err }

// salvage fills in what can be read of a created token whose JSON is broken,
// first from what comes before the break, then from anywhere: guessed says that
// the access token is from there.
func salvage(text []byte, created *TokenCreatedResponse) (guessed bool) {
	var r reader
	created.TokenResponse = TokenResponse{}
	r.token(readable(text), &created.TokenResponse, &created.AccessToken)
	if created.AccessToken == "" {
		created.AccessToken = Secret(findString(text, "access_token"))
		guessed = created.AccessToken != ""
	}
	if created.ID == "" {
		created.ID = findString(text, "id")
	}
	return guessed
}

// findString looks for a whole JSON string, not empty, behind the given name in
// any text.
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
		if value = bytes.TrimLeft(value, " \t\r\n"); len(value) == 0 || value[0] != '"' {
			continue
		}
		if s, err := jsontext.AppendUnquote(nil, value[:stringEnd(value)]); err == nil && len(s) > 0 {
			return string(s)
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
		return decodeErrorObject(readable(text))
	case text[0] == '<':
		return said{msg: htmlTitle(string(text))}
	}
	return said{msg: string(text)}
}

func decodeErrorObject(object jsontext.Value) said {
	var s, first said
	var title string
	for name, value := range members(object, true) {
		switch string(name) {
		case "msg":
			s.msg = scalar(value)
		case "title":
			title = scalar(value)
		case "detail":
			s.detail = scalar(value)
		case "code":
			s.code = scalar(value)
		case "errors":
			// JSON:API: the first error stands for all.
			if value.Kind() != '[' {
				continue
			}
			for item := range elements(value) {
				if item.Kind() == '{' {
					first = decodeErrorObject(item)
				}
				break
			}
		}
	}
	return said{
		msg:    cmp.Or(s.msg, title, first.msg),
		detail: cmp.Or(s.detail, first.detail),
		code:   cmp.Or(s.code, first.code),
	}
}

// lenient is for texts whose faults are reported elsewhere, or don't matter.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// readable returns a JSON object of those members that can be read of one that
// may break off or be broken.
func readable(text []byte) jsontext.Value {
	object := []byte{'{'}
	dec := jsontext.NewDecoder(bytes.NewReader(text), lenient...)
	if dec.PeekKind() == '{' {
		_, err := dec.ReadToken()
		for err == nil && dec.PeekKind() == '"' {
			start := len(object)
			var name, value jsontext.Value
			if name, err = dec.ReadValue(); err == nil {
				object = append(append(object, name...), ':')
			}
			if value, err = dec.ReadValue(); err == nil {
				object = append(append(object, value...), ',')
			} else {
				object = object[:start]
			}
		}
	}
	return append(bytes.TrimSuffix(object, []byte{','}), '}')
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
	page = strings.ToValidUTF8(page, "")
	lower := strings.Map(func(r rune) rune { // of the same length
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, page)
	start := strings.Index(lower, "<title")
	if start < 0 {
		return ""
	}
	open := strings.IndexByte(lower[start:], '>')
	end := strings.Index(lower[start:], "</title")
	if open < 0 || end < open {
		return ""
	}
	return strings.Join(strings.Fields(html.UnescapeString(page[start+open+1:start+end])), " ")
}
