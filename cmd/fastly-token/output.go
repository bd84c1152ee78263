package main

import (
	"encoding/json"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

// jsonFlag adds the flag of all commands that print.
func jsonFlag(fs *pflag.FlagSet) *bool { return fs.Bool("json", false, "print JSON") }

// swallows reports whether stdout keeps nothing: it is a device and no terminal. In place of a
// closed one Go opens the null device.
func (a *app) swallows() bool {
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
		a.sayLines(short)
	}
	return err
}

// sayLines is say for several lines.
func (a *app) sayLines(text string) {
	for line := range strings.Lines(text) {
		a.say("%s", strings.TrimSpace(line))
	}
}

func (a *app) printJSON(v any) error { return a.print(toJSON(v)) }

// toJSON returns v as JSON that is safe to show.
func toJSON(v any) string {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // plain data, which can be encoded
	}
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
		return stamp(at) + " (" + until(at, a.apiTime()) + ")"
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
