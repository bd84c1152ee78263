package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/fastly-tokens/fastly"
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

// toJSON returns v as JSON, with characters escaped that a terminal might interpret.
func toJSON(v any) string {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // plain data, which can be encoded
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
	return b.String() + "\n"
}

// describe returns everything known about a token, one line for each field.
func (a *app) describe(t *fastly.TokenResponse) string {
	var columns []column
	var cells []cell
	add := func(title, text string) {
		if text != "" {
			columns = append(columns, column{title: title})
			cells = append(cells, cell{text: text})
		}
	}
	when := func(at time.Time, none string) string {
		if at.IsZero() {
			return none
		}
		return stamp(at) + " (" + until(at, a.apiTime()) + ")"
	}
	add("ID", escape(t.ID))
	add("Name", escape(t.Name))
	add("User", escape(t.UserID))
	add("Customer", escape(t.CustomerID))
	add("Scope", escape(t.Scopes.String()))
	add("Services", servicesOf(t, "\n"))
	add("Expires", when(t.ExpiresAt, "never"))
	add("Created", when(t.CreatedAt, ""))
	add("Updated", when(t.UpdatedAt, ""))
	add("Revoked", when(t.DeletedAt, ""))
	add("Last used", when(t.LastUsedAt, "never"))
	add("Sudo until", when(t.SudoExpiresAt, ""))
	add("IP", escape(t.IP))
	add("User agent", escape(t.UserAgent))
	return fields(columns, cells, a.width(), a.styles())
}
