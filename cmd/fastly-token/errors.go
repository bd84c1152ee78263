package main

import (
	"errors"
	"strings"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/rotate"
)

// explain returns the text of err in one line, and which flags or commands help.
func explain(err error) string {
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "rotate: "), "fastly: ") // the packages
	lines := strings.Split(text, "\n")                                                  // one for each of several errors
	if hint := hintFor(err); hint != "" {
		lines = append(lines, hint)
	}
	return escape(strings.Join(lines, "; "))
}

func hintFor(err error) string {
	switch {
	case errors.Is(err, fastly.ErrOTPRequired):
		return "use --otp-file or --totp-secret-file"
	case errors.Is(err, fastly.ErrSudoRequired):
		return "use --username and --password-file, or POST /sudo before --by-key"
	case errors.Is(err, fastly.ErrInvalidScope):
		return "the scopes are " + strings.Join(knownScopes, ", ")
	case errors.Is(err, rotate.ErrLocked):
		return "use another --state file for another rotation"
	case leaves(err):
		return "look for it with fastly-token list, and revoke it with fastly-token revoke"
	}
	return ""
}
