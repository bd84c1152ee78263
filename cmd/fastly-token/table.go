package main

import (
	"strings"

	prettytable "github.com/jedib0t/go-pretty/v6/table"
	prettytext "github.com/jedib0t/go-pretty/v6/text"
)

// column is a column of a table.
type column struct {
	title string
	// min is the least width that its cells may be cut to; 0: they are not cut.
	min int
	// id says that different cells must stay different when they are cut.
	id bool
}

// cell is a text and its color; nil is plain.
type cell struct {
	text  string
	paint style
}

func (c cell) String() string {
	if c.paint == nil {
		return c.text
	}
	return c.paint(c.text)
}

// row is a row of a table. Where the group changes, a line with the new one comes
// first.
type row struct {
	cells []cell
	group string
}

const gap = 2 // columns between columns

// table formats rows, at most width wide; 0 means no limit. If not even the
// narrowest cells fit side by side, each row becomes a block.
func table(columns []column, rows []row, width int, st styles) string {
	widths := natural(columns, rows)
	if !shrink(columns, rows, widths, width) {
		return blocks(columns, rows, width, st)
	}
	w := prettytable.NewWriter()
	w.SetStyle(prettytable.Style{
		Box:     prettytable.BoxStyle{PaddingRight: strings.Repeat(" ", gap)},
		Options: prettytable.OptionsNoBordersAndSeparators,
	})
	header := make(prettytable.Row, len(columns))
	for i, c := range columns {
		header[i] = st.bold(c.title)
	}
	w.AppendRow(header) // not as a header, which would be in capitals, escapes included
	for _, r := range rows {
		line := make(prettytable.Row, len(columns))
		for i, c := range r.cells {
			c.text = prettytext.Snip(c.text, widths[i], "…")
			line[i] = c
		}
		w.AppendRow(line)
	}
	var b strings.Builder
	lines := strings.Split(w.Render(), "\n") // the titles, and one for each row
	b.WriteString(strings.TrimRight(lines[0], " ") + "\n")
	group := ""
	for i, r := range rows {
		if r.group != group {
			group = r.group
			b.WriteString(st.dim(fit(group, width)) + "\n")
		}
		b.WriteString(strings.TrimRight(lines[i+1], " ") + "\n")
	}
	return b.String()
}

// natural returns the widths of the columns with nothing cut.
func natural(columns []column, rows []row) []int {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = prettytext.StringWidthWithoutEscSequences(c.title)
		for _, r := range rows {
			widths[i] = max(widths[i], prettytext.StringWidthWithoutEscSequences(r.cells[i].text))
		}
	}
	return widths
}

// shrink makes the columns narrower until all of them fit: the widest first, and
// those with IDs last. It returns false if they don't fit.
func shrink(columns []column, rows []row, widths []int, width int) bool {
	if width == 0 {
		return true
	}
	excess := gap*(len(columns)-1) - width
	for _, w := range widths {
		excess += w
	}
	for _, ids := range []bool{false, true} {
		for ; excess > 0; excess-- {
			widest := -1
			for i, c := range columns {
				if c.min == 0 || c.id != ids || widths[i] <= floor(c, rows, i) {
					continue
				}
				if widest < 0 || widths[i] > widths[widest] {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			widths[widest]--
		}
	}
	return excess <= 0
}

// floor returns the least width of column i.
func floor(c column, rows []row, i int) int {
	least := max(c.min, prettytext.StringWidthWithoutEscSequences(c.title))
	if !c.id {
		return least
	}
	for ; ; least++ {
		seen := map[string]string{}
		unique := true
		for _, r := range rows {
			short := prettytext.Snip(r.cells[i].text, least, "…")
			if whole, ok := seen[short]; ok && whole != r.cells[i].text {
				unique = false
				break
			}
			seen[short] = r.cells[i].text
		}
		if unique {
			return least
		}
	}
}

// blocks formats the table with a line for each cell.
func blocks(columns []column, rows []row, width int, st styles) string {
	var b strings.Builder
	group := ""
	for i, r := range rows {
		if i > 0 {
			b.WriteByte('\n')
		}
		if r.group != group {
			group = r.group
			b.WriteString(st.dim(fit(group, width)) + "\n")
		}
		b.WriteString(fields(columns, r.cells, width, st))
	}
	return b.String()
}

// fields formats one row with a line for each cell, or more if a cell has several
// lines or does not fit.
func fields(columns []column, cells []cell, width int, st styles) string {
	titles := 0
	for _, c := range columns {
		titles = max(titles, prettytext.StringWidthWithoutEscSequences(c.title))
	}
	var b strings.Builder
	for i, c := range columns {
		value := cells[i]
		if room := width - titles - gap; width > 0 {
			value.text = wrap(value.text, max(room, 8))
		}
		for j, line := range strings.Split(value.text, "\n") {
			title := ""
			if j == 0 {
				title = c.title
			}
			value.text = line
			b.WriteString(strings.TrimRight(st.bold(title)+strings.Repeat(" ", titles-prettytext.StringWidthWithoutEscSequences(title)+gap)+value.String(), " ") + "\n")
		}
	}
	return b.String()
}

// wrap breaks each line of text that is wider than room.
func wrap(text string, room int) string {
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		for prettytext.StringWidthWithoutEscSequences(line) > room {
			head := prettytext.Trim(line, room)
			lines = append(lines, head)
			line = line[len(head):]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// fit cuts text to the width; 0 means no limit.
func fit(text string, width int) string {
	if width == 0 {
		return text
	}
	return prettytext.Snip(text, width, "…")
}
