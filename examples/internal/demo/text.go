package demo

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fastly-tokens/fastly"
)

// Text makes text from the network safe to print: what is not printable
// (control characters, terminal sequences, marks that reorder text) is escaped,
// and what is very long is cut.
func Text(s string) string { return Cut(Escape(s), 1<<10) }

// Escape is [Text] without the cut.
func Escape(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 && utf8.ValidString(s) {
		return s
	}
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

// Width is the number of terminal columns that s takes, escape sequences for
// colour not counted.
func Width(s string) int {
	width, escape := 0, false
	for _, r := range s {
		switch {
		case escape:
			escape = r != 'm'
		case r == '\x1b':
			escape = true
		default:
			width += runeWidth(r)
		}
	}
	return width
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.In(r, wide):
		return 2
	}
	return 1
}

// wide is what terminals draw in two columns: East Asian scripts and emoji.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, {Lo: 0x231a, Hi: 0x231b, Stride: 1},
		{Lo: 0x23e9, Hi: 0x23ec, Stride: 1}, {Lo: 0x2614, Hi: 0x2615, Stride: 1},
		{Lo: 0x26a1, Hi: 0x26a1, Stride: 1}, {Lo: 0x2705, Hi: 0x2705, Stride: 1},
		{Lo: 0x274c, Hi: 0x274c, Stride: 1}, {Lo: 0x2e80, Hi: 0x303e, Stride: 1},
		{Lo: 0x3041, Hi: 0xa4cf, Stride: 1}, {Lo: 0xa960, Hi: 0xa97c, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1}, {Lo: 0xf900, Hi: 0xfaff, Stride: 1},
		{Lo: 0xfe30, Hi: 0xfe6f, Stride: 1}, {Lo: 0xff00, Hi: 0xff60, Stride: 1},
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f300, Hi: 0x1f64f, Stride: 1}, {Lo: 0x1f680, Hi: 0x1f6ff, Stride: 1},
		{Lo: 0x1f900, Hi: 0x1f9ff, Stride: 1}, {Lo: 0x20000, Hi: 0x3fffd, Stride: 1},
	},
}

// Cut shortens plain text (see [Text]) to at most width columns, with an ellipsis at its end
// if something is missing.
func Cut(s string, width int) string {
	if Width(s) <= width {
		return s
	}
	used := 0
	for i, r := range s {
		if used+runeWidth(r) > width-1 {
			return s[:i] + "…"
		}
		used += runeWidth(r)
	}
	return s
}

// Column is a column of a [Table].
type Column struct {
	Title string
	// Max is the most columns of the terminal that it takes; cells are cut.
	// Zero means no limit; such cells may have colours.
	Max int
	// Right aligns its cells to the right.
	Right bool
}

// Table writes rows under the titles of their columns, aligned and two spaces
// apart. Each line starts with indent.
func Table(w io.Writer, indent string, columns []Column, rows [][]string) error {
	titles := make([]string, len(columns))
	widths := make([]int, len(columns))
	for i, c := range columns {
		titles[i] = c.Title
		for _, row := range append(rows[:len(rows):len(rows)], titles) {
			widths[i] = max(widths[i], Width(cell(c, row[i])))
		}
	}
	var b strings.Builder
	for _, row := range append([][]string{titles}, rows...) {
		var line strings.Builder
		line.WriteString(indent)
		for i, c := range columns {
			text := cell(c, row[i])
			pad := strings.Repeat(" ", widths[i]-Width(text))
			if c.Right {
				text = pad + text
			} else {
				text += pad
			}
			if i > 0 {
				line.WriteString("  ")
			}
			line.WriteString(text)
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func cell(c Column, text string) string {
	if c.Max > 0 {
		return Cut(text, c.Max)
	}
	return text
}

// ScopesText is the scopes in few columns: the first one, and how many more.
func ScopesText(scopes fastly.Scopes) string {
	switch len(scopes) {
	case 0:
		return "none"
	case 1:
		return Text(string(scopes[0]))
	}
	return fmt.Sprintf("%s +%d", Text(string(scopes[0])), len(scopes)-1)
}

// ParseScopes reads one or more scopes between spaces or commas. Whether there
// are such scopes is up to the API.
func ParseScopes(text string) (scopes fastly.Scopes, err error) {
	for name := range strings.FieldsFuncSeq(text, func(r rune) bool { return unicode.IsSpace(r) || r == ',' }) {
		if !scopeForm.MatchString(name) {
			return nil, fmt.Errorf("%q is no scope: want some of %s", name, KnownScopes)
		}
		scopes = append(scopes, fastly.Scope(name))
	}
	if len(scopes) == 0 {
		return nil, errors.New("want scopes, such as " + KnownScopes)
	}
	return scopes, nil
}

var scopeForm = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)

// KnownScopes are the scopes that the API documents.
var KnownScopes = fmt.Sprintf("%s, %s, %s, %s", fastly.ScopeGlobal, fastly.ScopePurgeSelect, fastly.ScopePurgeAll, fastly.ScopeGlobalRead)

// ExplainScope returns err, of a create, for the user of a program: with scopes
// as they are typed, and not as Go has them.
func ExplainScope(err error, asked fastly.Scopes) error {
	var answer *fastly.GenericTokenError
	if !errors.Is(err, fastly.ErrInvalidScope) || !errors.As(err, &answer) {
		return err
	}
	said := Text(cmp.Or(answer.Code, answer.Msg))
	return &refusedScopeError{fmt.Sprintf("the API refuses the scope %q (%d %s): the scopes are %s", asked.String(), answer.StatusCode, said, KnownScopes), err}
}

// refusedScopeError says something else than the error it is.
type refusedScopeError struct {
	text string
	err  error
}

func (e *refusedScopeError) Error() string { return e.text }

func (e *refusedScopeError) Unwrap() error { return e.err }

// ServicesText is how many services a token is limited to.
func ServicesText(services []string) string {
	if len(services) == 0 {
		return "every"
	}
	return strconv.Itoa(len(services))
}

// Until says how far away t is, in one or two words: "in 8 days", "2 hours ago".
// The zero time is "never".
func Until(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	if d := t.Sub(now); d > 0 {
		return "in " + count(d)
	} else if d > -time.Second {
		return "now"
	}
	return count(now.Sub(t)) + " ago"
}

// count is a duration in its largest unit, rounded.
func count(d time.Duration) string {
	for _, unit := range []struct {
		name string
		size time.Duration
		from time.Duration
	}{
		{"year", 365 * day, 700 * day},
		{"month", 30 * day, 90 * day},
		{"day", day, 36 * time.Hour},
		{"hour", time.Hour, 90 * time.Minute},
		{"minute", time.Minute, 90 * time.Second},
		{"second", time.Second, math.MinInt64},
	} {
		if d < unit.from {
			continue
		}
		n := int(math.Round(float64(d) / float64(unit.size)))
		if n == 1 {
			return "1 " + unit.name
		}
		return fmt.Sprintf("%d %ss", n, unit.name)
	}
	return "" // the last unit has no lower bound
}

// Duration is a [flag.Value]: a duration that is not negative, in days ("30d")
// or as [time.ParseDuration] reads it ("36h").
type Duration time.Duration

// String returns the duration, in days if it is whole days.
func (d *Duration) String() string {
	value := time.Duration(*d)
	if value != 0 && value%day == 0 {
		return strconv.FormatInt(int64(value/day), 10) + "d"
	}
	text := value.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// Set implements [flag.Value].
func (d *Duration) Set(s string) error {
	value, err := ParseDuration(s)
	if err == nil {
		*d = Duration(value)
	}
	return err
}

// ParseDuration reads a duration that is not negative: a number of days, as in
// "30d" or "0.5d", or what [time.ParseDuration] reads.
func ParseDuration(s string) (time.Duration, error) {
	days, isDays := strings.CutSuffix(s, "d")
	if !isDays {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return 0, errDuration
		}
		return d, nil
	}
	n, err := strconv.ParseFloat(days, 64)
	// Not "n < 0": the comparison has to fail for a NaN, too.
	if err != nil || !(n >= 0 && n <= 100_000) {
		return 0, errDuration
	}
	return time.Duration(n * float64(day)), nil
}

var errDuration = errors.New(`want a duration such as "30d" or "36h"`)
