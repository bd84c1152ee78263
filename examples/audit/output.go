package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/fastly-tokens/fastly/examples/internal/demo"
)

// writeTable writes the report for a person. What was found is marked with an
// exclamation mark where it stands, and coloured on a terminal.
func writeTable(w io.Writer, rep report, r *rules, byUser bool) error {
	style := demo.StyleFor(w)
	columns := []demo.Column{
		{Title: "ID"}, {Title: "NAME"}, {Title: "EXPIRES"}, {Title: "LAST USED"}, {Title: "SCOPE"}, {Title: "SERVICES"},
	}
	mark := func(f *finding, text string, colour func(string) string, ks ...kind) string {
		for _, k := range ks {
			if f.has(k) {
				return colour(text + "!")
			}
		}
		return text
	}
	if byUser {
		rep.Tokens = groupByUser(rep.Tokens)
	}
	rows := make([][]string, len(rep.Tokens))
	for i := range rep.Tokens {
		f := &rep.Tokens[i]
		expires := style.Red
		if !f.ExpiresAt.IsZero() {
			expires = style.Yellow
		}
		rows[i] = []string{
			demo.Cut(demo.Text(f.ID), 22),
			demo.Cut(demo.Text(f.Name), 15),
			mark(f, demo.Until(f.ExpiresAt, rep.now), expires, neverExpires, expiring),
			mark(f, demo.Until(f.LastUsedAt, rep.now), style.Yellow, unused),
			mark(f, demo.Cut(demo.ScopesText(f.Scopes), 15), style.Red, global),
			mark(f, demo.ServicesText(f.Services), style.Yellow, allServices),
		}
	}
	var table bytes.Buffer
	if err := demo.Table(&table, "", columns, rows); err != nil {
		return err
	}
	p := demo.NewPrinter(w)
	if len(rows) > 0 {
		line := 0
		for text := range strings.Lines(table.String()) {
			switch {
			case line == 0:
				text = style.Bold(strings.TrimSuffix(text, "\n")) + "\n"
			case byUser && (line == 1 || rep.Tokens[line-1].UserID != rep.Tokens[line-2].UserID):
				p.Printf("%s\n", style.Dim("user "+demo.Cut(demo.Text(rep.Tokens[line-1].UserID), 80)))
			}
			p.Printf("%s", text)
			line++
		}
		p.Printf("\n")
	}
	p.Printf("%s\n", conclusion(rep, r))
	return p.Err()
}

// groupByUser brings the tokens of each user together, in an order that else
// stays as it is.
func groupByUser(tokens []finding) []finding {
	var users []string
	byUser := map[string][]finding{}
	for _, f := range tokens {
		if byUser[f.UserID] == nil {
			users = append(users, f.UserID)
		}
		byUser[f.UserID] = append(byUser[f.UserID], f)
	}
	grouped := make([]finding, 0, len(tokens))
	for _, user := range users {
		grouped = append(grouped, byUser[user]...)
	}
	return grouped
}

// conclusion sums the report up.
func conclusion(rep report, r *rules) string {
	if len(rep.Tokens) == 0 {
		return fmt.Sprintf("Nothing found; tokens checked: %d.", rep.Checked)
	}
	text := map[kind]struct{ one, more string }{
		neverExpires: {"never expires", "never expire"},
		expiring:     {"expires within " + r.expiring.String(), "expire within " + r.expiring.String()},
		unused:       {"was not used for " + r.unused.String(), "were not used for " + r.unused.String()},
		global:       {"has the scope global", "have the scope global"},
		allServices:  {"reaches every service", "reach every service"},
	}
	var parts []string
	for _, k := range kinds {
		n := 0
		for i := range rep.Tokens {
			if rep.Tokens[i].has(k) {
				n++
			}
		}
		switch n {
		case 0:
		case 1:
			parts = append(parts, "    1 "+text[k].one)
		default:
			parts = append(parts, fmt.Sprintf("  %3d %s", n, text[k].more))
		}
	}
	tokens := "tokens"
	if rep.Checked == 1 {
		tokens = "token"
	}
	return fmt.Sprintf("Findings (!) about %d of %d %s:\n%s", len(rep.Tokens), rep.Checked, tokens, strings.Join(parts, "\n"))
}

// writeJSON writes the report as JSON. What a terminal might act on is escaped,
// which says the same in JSON.
func writeJSON(w io.Writer, rep report) error {
	text, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, r := range string(text) {
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
	_, err = io.WriteString(w, b.String()+"\n")
	return err
}

// writeCSV writes the report as CSV (RFC 4180), one line for each token.
func writeCSV(w io.Writer, rep report) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"id", "name", "user_id", "customer_id", "scope", "services", "created_at", "expires_at", "last_used_at", "ip", "user_agent", "findings"}}
	for i := range rep.Tokens {
		f := &rep.Tokens[i]
		found := make([]string, len(f.Findings))
		for i, k := range f.Findings {
			found[i] = string(k)
		}
		row := []string{
			f.ID, f.Name, f.UserID, f.CustomerID, f.Scopes.String(), strings.Join(f.Services, " "),
			date(f.CreatedAt), date(f.ExpiresAt), date(f.LastUsedAt), f.IP, f.UserAgent, strings.Join(found, " "),
		}
		for i := range row {
			row[i] = cell(row[i])
		}
		rows = append(rows, row)
	}
	return out.WriteAll(rows)
}

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// cell is text from the network as a spreadsheet and a terminal may have it. A
// spreadsheet takes what begins like a formula for one, quoted or not; an
// apostrophe before it makes it text
// (https://owasp.org/www-community/attacks/CSV_Injection).
func cell(s string) string {
	s = demo.Escape(s)
	if strings.IndexAny(strings.TrimLeft(s, " "), "=+-@＝＋－＠") == 0 {
		return "'" + s
	}
	return s
}
