package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
)

// printer prints until a write fails, and remembers that.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) Printf(format string, args ...any) { _, _ = fmt.Fprintf(p, format, args...) }

// Write implements io.Writer.
func (p *printer) Write(b []byte) (n int, err error) {
	if p.err == nil {
		n, p.err = p.w.Write(b)
	}
	return n, p.err
}

// style colors text, if it is on.
type style bool

// styleFor is on for terminals, unless the environment objects
// (https://no-color.org, or a TERM that can't show colors).
func styleFor(w io.Writer) style {
	return style(demo.IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}

func (st style) Bold(s string) string   { return st.sgr("1", s) }
func (st style) Dim(s string) string    { return st.sgr("2", s) }
func (st style) Yellow(s string) string { return st.sgr("33", s) }
func (st style) Green(s string) string  { return st.sgr("32", s) }

func (st style) sgr(code, s string) string {
	if !st {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// clean makes text from the network safe to print: it escapes what is not
// printable (control characters, terminal sequences, marks that reorder text).
func clean(s string) string {
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

// cut shortens text to n characters.
func cut(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}

// scopesText returns the scopes in few columns: the first, and how many more.
func scopesText(scopes fastly.Scopes) string {
	switch len(scopes) {
	case 0:
		return "none"
	case 1:
		return cut(clean(string(scopes[0])), 16)
	}
	return fmt.Sprintf("%s +%d", cut(clean(string(scopes[0])), 13), len(scopes)-1)
}

// servicesText returns how many services a token is limited to.
func servicesText(services []string) string {
	if len(services) == 0 {
		return "every"
	}
	return strconv.Itoa(len(services))
}

const day = 24 * time.Hour

// until returns how far away t is: "in 8 days", "2 hours ago". The zero time is
// "never".
func until(t, now time.Time) string {
	switch d := t.Sub(now); {
	case t.IsZero():
		return "never"
	case d > 0:
		return "in " + count(d)
	case d > -time.Second:
		return "now"
	default:
		return count(-d) + " ago"
	}
}

// count returns a duration in its largest unit, rounded.
func count(d time.Duration) string {
	for _, unit := range []struct {
		name       string
		size, from time.Duration
	}{
		{"year", 365 * day, 700 * day},
		{"month", 30 * day, 90 * day},
		{"day", day, 36 * time.Hour},
		{"hour", time.Hour, 90 * time.Minute},
		{"minute", time.Minute, 90 * time.Second},
	} {
		if d >= unit.from {
			return plural(int(math.Round(float64(d)/float64(unit.size))), unit.name)
		}
	}
	return plural(int(d.Round(time.Second).Seconds()), "second")
}
