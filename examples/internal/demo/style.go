package demo

import (
	"io"
	"os"
)

// Style colours text. Its zero value leaves text as it is.
type Style struct{ on bool }

// StyleFor returns a Style that colours if w is a terminal and the environment
// has no objection (https://no-color.org, or a TERM that can't).
func StyleFor(w io.Writer) Style {
	return Style{IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Bold returns s in bold.
func (st Style) Bold(s string) string { return st.sgr("1", s) }

// Dim returns s in a fainter colour.
func (st Style) Dim(s string) string { return st.sgr("2", s) }

// Red returns s in red.
func (st Style) Red(s string) string { return st.sgr("31", s) }

// Yellow returns s in yellow.
func (st Style) Yellow(s string) string { return st.sgr("33", s) }

// Green returns s in green.
func (st Style) Green(s string) string { return st.sgr("32", s) }

func (st Style) sgr(code, s string) string {
	if !st.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
