package main

import (
	"errors"
	"regexp"
	"strings"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/rotate"
)

// explain returns the text of err in one line, in the words of this program: the
// library's hints name Go fields and functions, and the program's users have
// flags. Each hint follows a semicolon. Those that name something in Go are left
// out; hintFor has the program's own.
func explain(err error) string {
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' }), "; ")
	text = libraryPrefix.ReplaceAllString(text, "$1")
	var parts []string
	for i, part := range strings.Split(words.Replace(text), "; ") {
		if i == 0 || !goName.MatchString(part) {
			parts = append(parts, part)
		}
	}
	if hint := hintFor(err); hint != "" {
		parts = append(parts, hint)
	}
	return escape(strings.Join(parts, "; "))
}

// libraryPrefix matches the prefixes of the packages' errors.
var libraryPrefix = regexp.MustCompile(`(^|: |; )(?:(?:fastly|rotate): )+`)

// words replaces names of the library with those of the program.
var words = strings.NewReplacer(
	"set Lifetime", "give it one by --ttl",
	"use another journal", "use another --state file",
	"the journal", "the state file",
	"the client's key", "the token of the environment",
	"the OTP function failed: ", "",
	"WithInsecurePlainHTTP", "https",
	"WithBasicAuth for credentials", "--username and --password-file",
)

// goName matches names of the library, each in full: the ID or name of a token can
// look like anything.
var goName = regexp.MustCompile(`\b(?:CreateTokenRequest|OTPFunc|RetryPolicy|MaxWait|NewClient|` +
	`Scope(?:Global|PurgeSelect|PurgeAll|GlobalRead)|(?:BulkRevokeTokens|CreateToken|RevokeToken|GetToken|ListTokensUser|ListTokensCustomer|(?:Get|Revoke)TokenCurrent)\b|` +
	`With(?:APIKey|APIKeyFunc|BasicAuth|BaseURL|HTTPClient|InsecurePlainHTTP|RetryPolicy|Transport|outAuthentication))|` +
	`\bUsername and Password\b`)

// hintFor says what to do next, where the library's hint is for programmers.
func hintFor(err error) string {
	var failed *rotate.CreateError
	switch {
	case errors.Is(err, fastly.ErrOTPRequired):
		return "type the account's current one-time password at the prompt, or give it by --otp-file"
	case errors.Is(err, fastly.ErrSudoRequired):
		return "log in by --username and --password-file, or confirm the password by POST /sudo for --by-key"
	case errors.Is(err, fastly.ErrInvalidScope):
		return "the scopes are " + strings.Join(knownScopes, ", ")
	case errors.As(err, &failed) && failed.Unknown:
		return "look for it with fastly-token list, and revoke it with fastly-token revoke"
	}
	return ""
}
