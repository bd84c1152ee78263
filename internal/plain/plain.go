// Package plain brings untrusted text to a form in which a secret can be looked for, however it is
// escaped there.
package plain

import (
	"bytes"
	"html"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// AccessTokenLength is the number of bytes of the API's access tokens.
const AccessTokenLength = 32

const minBare = 4 // what is left of a shorter text would be found anywhere

// Forms returns each text as it is, in its plain form, and in that without what it may lose in
// another character set and without quotation marks, which some languages double.
func Forms(texts ...string) (all []string) {
	for _, text := range texts {
		form := plainForm(text)
		all = append(all, text, form)
		bare := strings.Map(func(r rune) rune {
			if r >= utf8.RuneSelf || strings.ContainsRune("?\"'`", r) {
				return -1
			}
			return r
		}, form)
		if len(bare) >= minBare {
			all = append(all, bare)
		}
	}
	return slices.Compact(all)
}

var spaces = strings.NewReplacer("+", " ", "\xA0", " ") // a no-break space, in Latin-1

// plainForm undoes the escapes of URLs, HTML, JSON and programming languages, in whatever mixture.
// Those that begin with a backslash and a letter or digit come last, since the backslash may be escaped,
// too. Backslashes that are left go, and Latin-1, UTF-8 and UTF-8 that was read as Latin-1 become Latin-1.
func plainForm(text string) string {
	text = rewrite(text, func(text []byte) (length int, decoded string) {
		if text[0] == '\\' && (len(text) == 1 || isAlphanumeric(rune(text[1]))) {
			return 0, "" // it may begin an escape
		}
		return unescape(text)
	})
	return spaces.Replace(rewrite(text, unescape))
}

// rewrite replaces what unescape decodes, from right to left, so that what follows the beginning of an
// escape is plain already.
func rewrite(text string, unescape func([]byte) (length int, decoded string)) string {
	buf := []byte(text)
	start := len(buf)
	for i := start - 1; i >= 0; i-- {
		start--
		buf[start] = buf[i]
		for start < len(buf) {
			length, decoded := unescape(buf[start:])
			if length == 0 {
				break
			}
			start += length - len(decoded)
			copy(buf[start:], decoded)
		}
	}
	return string(buf[start:])
}

// unescape returns the length of the escape that text begins with, or zero, and what it stands for.
func unescape(text []byte) (length int, decoded string) {
	switch text[0] {
	case 0: // of UTF-16
		return 1, ""
	case '%':
		return unescapeNumber(text)
	case '\\':
		length, decoded = unescapeNumber(text)
		return max(length, 1), decoded
	case '&':
		name, _, _ := bytes.Cut(text[1:min(len(text), 40)], []byte("&"))
		entity := "&" + string(name)
		if decoded = html.UnescapeString(entity); decoded != entity {
			return len(entity), decoded
		}
	default:
		if r, size := utf8.DecodeRune(text); size > 1 && (r <= 0xFF || r > 0xFFFF) {
			return size, latin1(r)
		}
	}
	return 0, ""
}

// unescapeNumber is unescape for %41, \101, \x41, \u0041, %u0041, \U00000041, \x{41} and \u{41}.
func unescapeNumber(text []byte) (length int, decoded string) {
	next := string(text[:min(len(text), 12)]) + "            " // which are no digits
	number, base, length := next[1:3], 16, 3
	size := strings.IndexByte("xuU", next[1])
	switch {
	case size >= 0 && next[2] == '{':
		number, _, _ = strings.Cut(next[3:], "}")
		length = len(number) + len(`\u{}`)
	case size >= 0:
		length = 2 + 2<<size
		number = next[2:length]
	case next[0] == '\\':
		number, base, length = next[1:4], 8, 4
	}
	n, err := strconv.ParseUint(number, base, 31)
	if err != nil || base == 8 && n > 0xFF {
		return 0, ""
	}
	return length, latin1(rune(n))
}

// latin1 returns a character in Latin-1, or in UTF-8 up to U+FFFF, or as the byte 0xFF.
func latin1(r rune) string {
	if r >= 0 && r <= 0xFF {
		return string([]byte{byte(r)})
	}
	switch {
	case r>>10 == 0xD800>>10: // half of a surrogate pair; the other half stands for both
		return ""
	case r>>10 == 0xDC00>>10, r > 0xFFFF:
		return "\xFF"
	}
	return string(r)
}

// EndsWithin reports whether text ends with at least so many bytes of a secret, and perhaps with a part of
// an escape after it.
func EndsWithin(text, secret string, least int) bool {
	const maxEscape = 12
	for n := least; n <= min(len(secret), len(text)); n++ {
		if strings.Contains(text[max(0, len(text)-n-maxEscape):], secret[:n]) {
			return true
		}
	}
	return false
}

// HasWord reports whether text has a word, such as an access token, of at least n bytes.
func HasWord(text string, n int) bool {
	for word := range strings.FieldsFuncSeq(text, notInWord) {
		if len(word) >= n {
			return true
		}
	}
	return false
}

// EndsWithWord reports whether text ends with a word of at least n bytes.
func EndsWithWord(text string, n int) bool {
	return len(text)-1-strings.LastIndexFunc(text, notInWord) >= n
}

// notInWord reports whether r is no letter, digit, - or _, as all of an access token are.
func notInWord(r rune) bool { return !isAlphanumeric(r) && r != '-' && r != '_' }

func isAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
}
