package main

import (
	"encoding/json"
	"os"
	"strings"
	"time"

	prettytext "github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

func jsonFlag(fs *pflag.FlagSet) *bool { return fs.Bool("json", false, "print JSON") }

// discardsOutput reports whether stdout keeps nothing: it is a device and no terminal. In place of a
// closed one Go opens the null device.
func (a *app) discardsOutput() bool {
	f, ok := a.stdout.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err != nil || info.Mode()&os.ModeCharDevice != 0 && !term.IsTerminal(int(f.Fd()))
}

// printDone prints the result of a command that has changed something, and if that fails, says in
// short on stderr what it did.
func (a *app) printDone(text, short string) error {
	err := a.print(text)
	if err != nil {
		a.say("%s", short)
	}
	return err
}

func (a *app) printToken(t *fastly.TokenResponse, asJSON bool) error {
	if asJSON {
		return a.print(toJSON(t))
	}
	return a.print(a.describe(t))
}

// toJSON returns v as JSON that is safe to show.
func toJSON(v any) string {
	text, _ := json.MarshalIndent(v, "", "  ") // never fails: plain data
	return terminal.EscapeJSON(string(text)) + "\n"
}

// textFields are titles with texts, a line or more for each.
type textFields struct {
	columns []column
	cells   []cell
}

// add adds a text, unless it is empty.
func (l *textFields) add(title, text string) {
	if text != "" {
		l.columns = append(l.columns, column{title: title})
		l.cells = append(l.cells, cell{text: text})
	}
}

// describe returns everything known about a token, one line for each field.
func (a *app) describe(t *fastly.TokenResponse) string {
	var l textFields
	when := func(at time.Time, none string) string {
		if at.IsZero() {
			return none
		}
		return stamp(at) + " (" + terminal.Until(at, a.apiTime()) + ")"
	}
	l.add("ID", escape(t.ID))
	l.add("Name", escape(t.Name))
	l.add("User", escape(t.UserID))
	l.add("Customer", escape(t.CustomerID))
	l.add("Scope", escape(t.Scopes.String()))
	l.add("Services", servicesOf(t, "\n"))
	l.add("Expires", when(t.ExpiresAt, "never"))
	l.add("Created", when(t.CreatedAt, ""))
	l.add("Updated", when(t.UpdatedAt, ""))
	l.add("Revoked", when(t.DeletedAt, ""))
	l.add("Last used", when(t.LastUsedAt, "never"))
	l.add("Sudo until", when(t.SudoExpiresAt, ""))
	l.add("IP", escape(t.IP))
	l.add("User agent", escape(t.UserAgent))
	return fields(l.columns, l.cells, a.width(), a.styles())
}

type column struct {
	title string
	min   int // the least width that its cells may be cut to; 0: they are not cut
}

// cell is a text and its color; nil is plain.
type cell struct {
	text  string
	paint prettytext.Colors
}

// row is a row of a table. Where the group changes, a line with the new one comes first.
type row struct {
	cells []cell
	group string
}

const (
	gap       = 2 // columns between columns
	unlimited = 1 << 20
)

// columnsOf returns how many columns a terminal needs for the text.
func columnsOf(text string) int { return prettytext.StringWidthWithoutEscSequences(text) }

// table formats rows, at most width wide. If not even the narrowest cells fit side by side, each row
// becomes a block.
func table(columns []column, rows []row, width int, st styles) string {
	header, widths := make([]cell, len(columns)), make([]int, len(columns))
	for i, c := range columns {
		header[i], widths[i] = cell{c.title, st.bold}, columnsOf(c.title)
		for _, r := range rows {
			widths[i] = max(widths[i], columnsOf(r.cells[i].text))
		}
	}
	sideBySide := shrink(columns, widths, width)
	var b strings.Builder
	line := func(cells []cell) {
		var text string
		for i, c := range cells {
			c.text = prettytext.Snip(c.text, widths[i], "…")
			text += c.paint.Sprint(c.text) + strings.Repeat(" ", widths[i]-columnsOf(c.text)+gap)
		}
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	if sideBySide {
		line(header)
	}
	group := ""
	for i, r := range rows {
		if !sideBySide && i > 0 {
			b.WriteByte('\n')
		}
		if r.group != group {
			group = r.group
			b.WriteString(st.dim.Sprint(prettytext.Snip(group, width, "…")) + "\n")
		}
		if sideBySide {
			line(r.cells)
		} else {
			b.WriteString(fields(columns, r.cells, width, st))
		}
	}
	return b.String()
}

// shrink makes columns narrower, the widest first, until all of them fit, or returns false.
func shrink(columns []column, widths []int, width int) bool {
	over := gap*(len(columns)-1) - width
	for _, w := range widths {
		over += w
	}
	for ; over > 0; over-- {
		widest := -1
		for i, c := range columns {
			canShrink := c.min > 0 && widths[i] > max(c.min, columnsOf(c.title))
			if canShrink && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return false
		}
		widths[widest]--
	}
	return true
}

// fields formats one row with a line for each cell, or more if a cell has several lines or does not
// fit.
func fields(columns []column, cells []cell, width int, st styles) string {
	titles := 0
	for _, c := range columns {
		titles = max(titles, columnsOf(c.title))
	}
	var b strings.Builder
	for i, c := range columns {
		title := c.title
		for line := range strings.SplitSeq(breakLines(cells[i].text, max(width-titles-gap, 8)), "\n") {
			line = st.bold.Sprint(title) + strings.Repeat(" ", titles-columnsOf(title)+gap) + cells[i].paint.Sprint(line)
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			title = ""
		}
	}
	return b.String()
}

// breakLines breaks lines that are wider than room.
func breakLines(text string, room int) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		for columnsOf(line) > room {
			head := prettytext.Trim(line, room)
			lines = append(lines, head)
			line = line[len(head):]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
