package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	prettytext "github.com/jedib0t/go-pretty/v6/text"
	"github.com/prometheus/common/model"
	"golang.org/x/term"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

const day = 24 * time.Hour

// escape makes text from the network safe to print: it escapes what is not printable (control
// characters, terminal sequences, marks that reorder text).
func escape(s string) string { return terminal.Escape(s) }

// styles are colors, or none.
type styles struct{ bold, dim, red, yellow prettytext.Colors }

// styles returns colors for a terminal, unless the environment objects (https://no-color.org, or a
// TERM that can't show them).
func (a *app) styles() styles {
	f, ok := a.stdout.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || a.getenv("NO_COLOR") != "" || a.getenv("TERM") == "dumb" {
		return styles{}
	}
	return styles{prettytext.Colors{prettytext.Bold}, prettytext.Colors{prettytext.Faint}, prettytext.Colors{prettytext.FgRed}, prettytext.Colors{prettytext.FgYellow}}
}

// scopesText returns the scopes in few columns: the first, and how many more.
func scopesText(scopes fastly.Scopes) string {
	switch len(scopes) {
	case 0:
		return "none"
	case 1:
		return escape(string(scopes[0]))
	}
	return fmt.Sprintf("%s +%d", escape(string(scopes[0])), len(scopes)-1)
}

// reachesAll reports whether a token is for every service of its account.
func reachesAll(t *fastly.TokenResponse) bool { return len(t.Services) == 0 && !t.LimitServices }

func servicesOf(t *fastly.TokenResponse, separator string) string {
	switch {
	case reachesAll(t):
		return "every service"
	case len(t.Services) == 0:
		return "no service"
	}
	return strings.ReplaceAll(escape(strings.Join(t.Services, " ")), " ", separator)
}

// stamp returns a time as the API writes it.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// duration is a flag: whole numbers with units, as in "30d", "36h" or "1h30m".
type duration time.Duration

// maxDuration is far from what a [time.Duration] can hold.
const maxDuration = 36500 * day

// Type implements pflag.Value.
func (d *duration) Type() string { return "time" }

// String implements pflag.Value.
func (d *duration) String() string {
	value := time.Duration(*d)
	switch {
	case value == 0:
		return "0" // which no help shows as a default
	case value%day == 0:
		return strconv.Itoa(int(value/day)) + "d"
	}
	return model.Duration(*d).String()
}

// Set implements pflag.Value.
func (d *duration) Set(s string) error {
	value, err := model.ParseDuration(s)
	switch {
	case err == nil && time.Duration(value) <= maxDuration:
		*d = duration(value)
		return nil
	case err == nil, strings.Contains(err.Error(), "out of range"):
		return errors.New("it is too long: at most 36500d is allowed")
	}
	return errors.New(`want a time such as "30d" or "36h"`)
}
