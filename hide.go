package fastly

import (
	"cmp"
	"errors"
	"html"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// minHidden is the length from which a secret is looked for in foreign text.
// Shorter ones would tear words apart and are no secrets.
const minHidden = 4

// spellings undo what a server or a proxy may do to a secret that it repeats.
// Each is a list of passes over the text.
var spellings = [][]func(string) (string, int){
	{},
	{unpercent},
	{unform},
	{unentity},
	{unbackslash},
	{unbackslash, unbackslash}, // JSON in JSON
	{unentity, unbackslash},
}

// unpercent undoes the percent-encoding at the start of s; n is how much of s
// that is. Zero: there is none.
func unpercent(s string) (plain string, n int) {
	if s[0] == '%' && len(s) >= 3 {
		if b, err := strconv.ParseUint(s[1:3], 16, 8); err == nil {
			return string([]byte{byte(b)}), 3
		}
	}
	return "", 0
}

// unform is unpercent for form fields and queries.
func unform(s string) (plain string, n int) {
	if s[0] == '+' {
		return " ", 1
	}
	return unpercent(s)
}

// unentity undoes an HTML entity.
func unentity(s string) (plain string, n int) {
	if s[0] != '&' {
		return "", 0
	}
	end := strings.IndexByte(s[:min(len(s), 12)], ';') + 1
	if plain = html.UnescapeString(s[:end]); plain == s[:end] {
		return "", 0
	}
	return plain, end
}

// unbackslash undoes a backslash escape, as of JSON or Go.
func unbackslash(s string) (plain string, n int) {
	switch {
	case s[0] != '\\' || len(s) < 2:
		return "", 0
	case s[1] == '/', s[1] == '\'':
		return s[1:2], 2
	}
	r, multibyte, rest, err := strconv.UnquoteChar(s, 0)
	switch {
	case err == nil && (multibyte || r < utf8.RuneSelf):
		return string(r), len(s) - len(rest)
	case err == nil:
		return string([]byte{byte(r)}), len(s) - len(rest) //nolint:gosec // \x and octal escapes are bytes
	}
	return s[1:2], 2
}

// spelling is a text with some encoding undone; from is where in the text each
// of its bytes begins.
type spelling struct {
	plain string
	from  []int
}

func (p spelling) at(i int) int {
	if p.from == nil {
		return i
	}
	return p.from[i]
}

func (p spelling) undo(pass func(string) (string, int)) spelling {
	var b strings.Builder
	from := make([]int, 0, len(p.plain)+1)
	for i := 0; i < len(p.plain); {
		plain, n := pass(p.plain[i:])
		if n == 0 {
			plain, n = p.plain[i:i+1], 1
		}
		for range len(plain) {
			from = append(from, p.at(i))
		}
		b.WriteString(plain)
		i += n
	}
	return spelling{b.String(), append(from, p.at(len(p.plain)))}
}

// hide replaces secrets in a foreign text, however they are spelt.
func hide(text string, secrets ...string) string {
	return replaceSpelt(text, func(p spelling, mark func(from, to int)) {
		for _, secret := range secrets {
			if len(secret) < minHidden {
				continue
			}
			for start := 0; ; {
				i := strings.Index(p.plain[start:], secret)
				if i < 0 {
					break
				}
				start += i + len(secret)
				mark(start-len(secret), start)
			}
		}
	})
}

// hideEnd replaces the beginning of a secret at the end of a text that was cut
// off.
func hideEnd(text string, secrets ...string) string {
	return replaceSpelt(text, func(p spelling, mark func(from, to int)) {
		for _, secret := range secrets {
			for n := min(len(secret)-1, len(p.plain)); n >= minHidden; n-- {
				if strings.HasSuffix(p.plain, secret[:n]) {
					mark(len(p.plain)-n, len(p.plain))
					break
				}
			}
		}
	})
}

// replaceSpelt replaces in each spelling of text what find marks there.
func replaceSpelt(text string, find func(p spelling, mark func(from, to int))) string {
	encoded := strings.ContainsAny(text, `%+&\`)
	for _, passes := range spellings {
		p := spelling{plain: text}
		for _, pass := range passes {
			if !encoded {
				return text
			}
			p = p.undo(pass)
		}
		var marks [][2]int
		find(p, func(from, to int) { marks = append(marks, [2]int{p.at(from), p.at(to)}) })
		if len(marks) == 0 {
			continue
		}
		slices.SortFunc(marks, func(a, b [2]int) int { return cmp.Compare(a[0], b[0]) })
		var b strings.Builder
		done := 0
		for _, m := range marks {
			if m[0] >= done {
				b.WriteString(text[done:m[0]])
				b.WriteString(redacted)
			}
			done = max(done, m[1])
		}
		text = b.String() + text[done:]
	}
	return text
}

// hiddenError is an error of a transport whose text held a secret. It can be
// told by errors.Is and errors.As, and has no Unwrap: what prints each error of
// a chain would print the secret. Nor does it hold the error itself, which
// package fmt would show under a verb that fits none.
type hiddenError struct {
	text string
	is   func(target error) bool
	as   func(target any) bool
}

func (e *hiddenError) Error() string { return e.text }

// Is and As look at the error that is hidden.
func (e *hiddenError) Is(target error) bool { return e.is(target) }

// As is like Is.
func (e *hiddenError) As(target any) bool { return e.as(target) }

// hideError returns err, its text without the secrets.
func hideError(err error, secrets ...string) error {
	text := err.Error()
	clean := hide(text, secrets...)
	for _, secret := range secrets {
		// Package net/http quotes single words of a line that is no HTTP.
		for word := range strings.FieldsSeq(secret) {
			if len(word) >= 2*minHidden {
				clean = hide(clean, word)
			}
		}
	}
	if clean == text {
		return err
	}
	return &hiddenError{
		text: clean,
		is:   func(target error) bool { return errors.Is(err, target) },
		as:   func(target any) bool { return errors.As(err, target) },
	}
}
