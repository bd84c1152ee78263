// Package terminal prepares text for people to read: what is untrusted, and what is long.
package terminal

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Escape returns s with every character escaped that a terminal might interpret: control
// characters, line breaks, marks that reorder text. What is not valid UTF-8 becomes U+FFFD.
func Escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// Line makes untrusted text one line that is safe to print: escaped, and at most 1 KiB.
func Line(s string) string { return Truncate(Escape(s), 1<<10) }

// Truncate cuts s to at most n bytes, between characters, and marks a cut with "…", which counts.
func Truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n -= len("…"); n > 0 && !utf8.RuneStart(s[n]); n-- {
	}
	return s[:max(n, 0)] + "…"
}

// EscapeJSON returns JSON text with every character escaped that a terminal might interpret, except
// line breaks, which are between its values.
func EscapeJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// EscapeCell is Escape for a cell of a CSV file. A spreadsheet evaluates what begins like a formula,
// even in quotes, unless an apostrophe comes first
// (https://owasp.org/www-community/attacks/CSV_Injection).
func EscapeCell(s string) string {
	s = Escape(s)
	if strings.IndexAny(strings.TrimLeft(s, " "), "=+-@＝＋－＠") == 0 {
		return "'" + s
	}
	return s
}
