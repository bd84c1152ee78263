package fastly

import (
	"errors"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/fastly-tokens/fastly/internal/terminal"
)

const (
	redacted          = "[REDACTED]"
	minToken          = 4 // of API keys, access tokens and one-time passwords
	minPassword       = 8 // a shorter password may be a common word
	accessTokenLength = 32
	maxHeaderFields   = 64
	maxHeaderValue    = 1 << 10
)

// secrets are texts to be redacted. A short one is likely to be part of a word, so it is redacted
// only where it is a whole value.
type secrets struct{ anywhere, whole []string }

// with adds a secret, to be redacted only as a whole value if it is shorter than length.
func (s secrets) with(length int, secret Secret) secrets {
	switch {
	case secret == "":
	case len(secret) < length:
		s.whole = append(slices.Clip(s.whole), secret.Reveal())
	default:
		s.anywhere = append(slices.Clip(s.anywhere), secret.Reveal())
	}
	return s
}

// withTokens returns s and the words in text that may be an access token.
func (s secrets) withTokens(text string) secrets {
	for word := range strings.FieldsFuncSeq(text, notInToken) {
		if len(word) >= accessTokenLength {
			s = s.with(minToken, Secret(word))
		}
	}
	return s
}

// notInToken reports whether r is no letter, digit, - or _, as all of an access token are.
func notInToken(r rune) bool { return notAlphanumeric(r) && r != '-' && r != '_' }

// redactor replaces secrets in untrusted text, however they are encoded there.
type redactor struct {
	secrets
	encoded []string // every encoding of the secrets to be redacted anywhere, once needed
}

// redact is for one text; a redactor is for several.
func redact(text string, s secrets) string { return (&redactor{secrets: s}).redact(text) }

// forms returns what to look for in a text.
func (r *redactor) forms(text string) []string {
	if !strings.ContainsAny(text, `%&\+`) { // no encoding is in use
		return r.anywhere
	}
	if r.encoded == nil {
		for _, secret := range r.anywhere {
			r.encoded = append(r.encoded, encodings(secret)...)
		}
	}
	return r.encoded
}

func (r *redactor) redact(text string) string {
	if slices.Contains(r.whole, text) {
		return redacted
	}
	found := find(text, r.forms(text), 0)
	for _, form := range encode(r.whole, jsonEncoders) { // as a value of a JSON body
		found = append(found, find(text, []string{`"` + form + `"`}, 1)...)
	}
	return replace(text, found)
}

// redactTruncated is redact for text that was cut off, perhaps within a secret.
func (r *redactor) redactTruncated(text string) string {
	text = r.redact(text)
	var found []span
	for _, form := range r.forms(text) {
		for n := min(len(form), len(text)); n >= minToken; n-- {
			if strings.HasSuffix(text, form[:n]) {
				found = append(found, span{len(text) - n, len(text)})
			}
		}
	}
	return replace(text, found)
}

type span struct{ start, end int }

// find returns where the forms stand in text, less the margin on both sides.
func find(text string, forms []string, margin int) (found []span) {
	for _, form := range forms {
		for from := 0; ; {
			i := strings.Index(text[from:], form)
			if i < 0 {
				break
			}
			start := from + i
			from = start + len(form)
			found = append(found, span{start + margin, from - margin})
		}
	}
	return found
}

func replace(text string, found []span) string {
	slices.SortFunc(found, func(a, b span) int { return a.start - b.start })
	var b strings.Builder
	done := 0
	for _, s := range found {
		if s.start >= done {
			b.WriteString(text[done:s.start])
			b.WriteString(redacted)
		}
		done = max(done, s.end)
	}
	return b.String() + text[done:]
}

// encoders encode one character in the ways that servers and proxies do.
var (
	jsonEncoders = []func(string) string{
		strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace,
		strings.NewReplacer(`\`, `\\`, `"`, `\"`, `/`, `\/`).Replace,
		strings.NewReplacer(`\`, `\\`, `"`, `\"`, "<", `\u003c`, ">", `\u003e`, "&", `\u0026`).Replace, // encoding/json
		strings.NewReplacer(`\`, `\\`, `"`, `\"`, "<", `\u003c`, ">", `\u003e`, "&", `\u0026`, "/", `\/`).Replace,
		quoteASCII, // Python
		func(c string) string { return strings.ReplaceAll(quoteASCII(c), "/", `\/`) }, // PHP
		func(c string) string { return eachUnit(c, `\u%04x`) },
		func(c string) string { return eachUnit(c, `\u%04X`) },
	}
	htmlEncoders = []func(string) string{
		html.EscapeString,
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;", "/", "&sol;").Replace,
	}
	otherEncoders = []func(string) string{
		func(c string) string { return eachUnit(c, "&#%d;") },
		func(c string) string { return eachUnit(c, "&#x%x;") },
		url.QueryEscape,
		url.PathEscape,
		func(c string) string { return lowerEscape(url.QueryEscape(c)) },
		func(c string) string { return lowerEscape(url.PathEscape(c)) },
		func(c string) string { return strings.ReplaceAll(url.QueryEscape(c), "+", "%20") },
		func(c string) string { return "%" + strings.ReplaceAll(fmt.Sprintf("% x", c), " ", "%") },
		func(c string) string { return "%" + strings.ReplaceAll(fmt.Sprintf("% X", c), " ", "%") },
	}
)

func quoteASCII(c string) string {
	q := strconv.QuoteToASCII(c)
	return q[1 : len(q)-1]
}

// eachUnit formats the UTF-16 units of a character.
func eachUnit(c, format string) string {
	var text []byte
	for _, unit := range utf16.Encode([]rune(c)) {
		text = fmt.Appendf(text, format, unit)
	}
	return string(text)
}

func lowerEscape(c string) string {
	if strings.HasPrefix(c, "%") {
		return strings.ToLower(c)
	}
	return c
}

// encodings returns a text in each way that it may be repeated, JSON in JSON and in HTML included.
func encodings(text string) []string {
	inJSON := encode([]string{text}, jsonEncoders)
	nested := encode(inJSON, slices.Concat(jsonEncoders, htmlEncoders))
	others := encode([]string{text}, slices.Concat(htmlEncoders, otherEncoders))
	return slices.Concat(inJSON, nested, others, []string{text})
}

// encode returns each text by each encoder, without duplicates.
func encode(texts []string, encoders []func(string) string) (forms []string) {
	for _, text := range texts {
		for _, encoder := range encoders {
			var b strings.Builder
			for _, r := range text {
				b.WriteString(encoder(string(r)))
			}
			forms = append(forms, b.String())
		}
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// redactHeader returns a bounded copy of a response header, without cookies and without the query
// of a Location.
func (r *redactor) redactHeader(h http.Header) http.Header {
	clean := http.Header{}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if len(clean) == maxHeaderFields {
			break
		}
		// net/http changes the case of names.
		inName := func(secret string) bool { return strings.Contains(strings.ToLower(name), strings.ToLower(secret)) }
		if strings.EqualFold(name, "Set-Cookie") || len(name) > maxHeaderValue || slices.ContainsFunc(r.anywhere, inName) {
			continue
		}
		values := slices.Clone(h[name])
		for i, value := range values {
			if strings.EqualFold(name, "Location") {
				value, _, _ = strings.Cut(value, "?")
			}
			values[i] = r.redact(value)
		}
		clean[name] = []string{terminal.Truncate(strings.Join(values, ", "), maxHeaderValue)}
	}
	return clean
}

// redactedError replaces an error whose text held a secret, and matches the same. It has no Unwrap,
// since code that prints each error of a chain would print the secret. It holds the error in a
// function, since package fmt prints fields for a verb that doesn't fit.
type redactedError struct {
	text string
	err  func() error
}

func (e *redactedError) Error() string { return e.text }

// Is makes [errors.Is] look at the error itself.
func (e *redactedError) Is(target error) bool { return errors.Is(e.err(), target) }

// As makes [errors.As] look at the error itself.
func (e *redactedError) As(target any) bool { return errors.As(e.err(), target) }

// redactError returns err, or if its text holds a secret, a redacted error that matches the same.
func redactError(err error, s secrets) error {
	text := err.Error()
	clean := redact(text, s)
	for _, secret := range slices.Concat(s.anywhere, s.whole) {
		// net/http quotes single words of a line that is not HTTP.
		for word := range strings.FieldsSeq(secret) {
			clean = redact(clean, secrets{}.with(minPassword, Secret(word)))
		}
	}
	if clean == text {
		return err
	}
	return &redactedError{clean, func() error { return err }}
}
