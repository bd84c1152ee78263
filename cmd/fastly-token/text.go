package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

const day = 24 * time.Hour

// escape makes text from the network safe to print: it escapes what is not
// printable (control characters, terminal sequences, marks that reorder text).
func escape(s string) string { return terminal.Escape(s) }

// style colors text, or leaves it as it is.
type style func(text string) string

type styles struct{ bold, dim, red, yellow style }

// styles returns colors for a terminal, unless the environment objects
// (https://no-color.org, or a TERM that can't show them).
func (a *app) styles() styles {
	f, ok := a.stdout.(*os.File)
	on := ok && term.IsTerminal(int(f.Fd())) && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
	sgr := func(code string) style {
		return func(text string) string {
			if !on || text == "" {
				return text
			}
			return "\x1b[" + code + "m" + text + "\x1b[0m"
		}
	}
	return styles{bold: sgr("1"), dim: sgr("2"), red: sgr("31"), yellow: sgr("33")}
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

// servicesOf returns the services that a token is limited to.
func servicesOf(t *fastly.TokenResponse, separator string) string {
	if len(t.Services) == 0 {
		return "every service"
	}
	services := make([]string, len(t.Services))
	for i, id := range t.Services {
		services[i] = escape(id)
	}
	return strings.Join(services, separator)
}

// servicesText returns how many services a token is limited to.
func servicesText(services []string) string {
	if len(services) == 0 {
		return "every"
	}
	return strconv.Itoa(len(services))
}

// stamp returns a time as the API writes it.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// until returns how far away t is: "in 8 days", "2 hours ago". The zero time is
// "never".
func until(t, now time.Time) string { return distance(t, now, true) }

// untilShort is until for a table: "in 8d", "2h ago".
func untilShort(t, now time.Time) string { return distance(t, now, false) }

func distance(t, now time.Time, long bool) string {
	d := t.Sub(now)
	switch {
	case t.IsZero():
		return "never"
	case d > 0:
		return "in " + count(d, long)
	case d > -time.Second:
		return "now"
	}
	return count(-d, long) + " ago"
}

// count returns a duration in its largest unit, rounded.
func count(d time.Duration, long bool) string {
	for _, unit := range []struct {
		name, short string
		size, from  time.Duration
	}{
		{"year", "y", 365 * day, 700 * day},
		{"month", "mo", 30 * day, 90 * day},
		{"day", "d", day, 36 * time.Hour},
		{"hour", "h", time.Hour, 90 * time.Minute},
		{"minute", "m", time.Minute, 90 * time.Second},
		{"second", "s", time.Second, math.MinInt64},
	} {
		if d < unit.from {
			continue
		}
		n := strconv.Itoa(int(math.Round(float64(d) / float64(unit.size))))
		switch {
		case !long:
			return n + unit.short
		case n == "1":
			return "1 " + unit.name
		}
		return n + " " + unit.name + "s"
	}
	return "" // the last unit has no lower bound
}

// duration is a flag: a non-negative duration, in days ("30d") or as
// [time.ParseDuration] reads it ("36h").
type duration time.Duration

// Type implements pflag.Value.
func (d *duration) Type() string { return "time" }

// String returns the duration, in days if it is whole days.
func (d *duration) String() string {
	value := time.Duration(*d)
	switch {
	case value == 0:
		return "0" // which no help shows as a default
	case value%day == 0:
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

// maxDuration is in whole days, and far from what a [time.Duration] can hold.
const maxDuration = 36500 * day

// Set implements pflag.Value.
func (d *duration) Set(s string) error {
	var value float64 // which has room for what is too long
	days, isDays := strings.CutSuffix(s, "d")
	if isDays {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || math.IsNaN(n) {
			return errDuration
		}
		value = n * float64(day)
	} else {
		parsed, err := time.ParseDuration(s)
		digits := strings.TrimRight(s, "hms")
		number, numberErr := strconv.ParseFloat(digits, 64)
		switch {
		case err == nil:
			value = float64(parsed)
		case numberErr == nil && number > 1 && digits != s: // so it is too long for a Duration
			value = math.Inf(1)
		default:
			return errDuration
		}
	}
	switch {
	case value < 0:
		return errDuration
	case value > float64(maxDuration):
		return errors.New("it is too long: at most 36500d are possible")
	}
	*d = duration(value)
	return nil
}

var errDuration = errors.New(`want a time such as "30d" or "36h"`)
