package fastly

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/fastly-tokens/fastly/internal/plain"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

const (
	redacted          = "[REDACTED]"
	minToken          = 4 // of API keys, access tokens and one-time passwords
	minPassword       = 8 // a shorter password may be a common word
	accessTokenLength = plain.AccessTokenLength
	maxHeaderFields   = 64
	maxHeaderValue    = 1 << 10 // bytes
)

// secrets are what no text may show, however it is escaped there. A short one is likely to be part
// of a word, so it counts only where it is a whole value.
type secrets struct {
	anywhere, whole []string
	tokens          bool // words that may be access tokens count as well
	cut             bool // texts were cut off, perhaps within a secret
}

// with adds a secret, which counts only as a whole value if it is shorter than length.
func (s secrets) with(length int, secret Secret) secrets {
	switch {
	case secret == "":
	case len(secret) < length:
		s.whole = append(slices.Clip(s.whole), secret.Reveal())
	default:
		s.anywhere = append(slices.Clip(s.anywhere), secret.Reveal())
	}
	return s
}

// withAuthorization adds the credentials of an Authorization header. In base64, they can be
// repeated without padding and in the alphabet of URLs (RFC 4648, section 5).
func (s secrets) withAuthorization(credentials string) secrets {
	credentials = strings.TrimRight(credentials, "=")
	inURLs := strings.NewReplacer("+", "-", "/", "_").Replace(credentials)
	return s.with(minToken, Secret(credentials)).with(minToken, Secret(inURLs))
}

// inForms returns the secrets in all their forms, which redact looks for.
func (s secrets) inForms() secrets {
	s.anywhere, s.whole = plain.Forms(s.anywhere...), plain.Forms(s.whole...)
	return s
}

// redact returns text, or [REDACTED] if there is a secret in it.
func (s secrets) redact(text string) string {
	if slices.ContainsFunc(plain.Forms(text), s.areIn) {
		return redacted
	}
	return text
}

// areIn reports whether there is a secret in one form of a text.
func (s secrets) areIn(text string) bool {
	for _, secret := range s.anywhere {
		if strings.Contains(text, secret) || s.cut && plain.EndsWithin(text, secret, minToken) {
			return true
		}
	}
	for _, secret := range s.whole {
		if strings.TrimSpace(text) == secret || strings.Contains(text, `"`+secret+`"`) {
			return true
		}
	}
	return s.tokens && (plain.HasWord(text, accessTokenLength) || s.cut && plain.EndsWithWord(text, minToken))
}

// redactHeader returns a bounded copy of a response header, without cookies and without the queries
// and fragments of its URLs.
func (s secrets) redactHeader(h http.Header) http.Header {
	clean := http.Header{}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		lower := strings.ToLower(name) // net/http changes the case
		isSecret := func(secret string) bool { return strings.Contains(lower, strings.ToLower(secret)) }
		if len(name) > maxHeaderValue || lower == "set-cookie" ||
			slices.ContainsFunc(s.anywhere, isSecret) {
			continue
		}
		if len(clean) == maxHeaderFields {
			break
		}
		values := slices.Clone(h[name])
		for i, value := range values {
			if lower == "location" || lower == "fastly-sso-login-url" {
				value, _, _ = strings.Cut(strings.ReplaceAll(value, "#", "?"), "?")
			}
			values[i] = s.redact(value)
		}
		clean[name] = []string{terminal.Truncate(strings.Join(values, ", "), maxHeaderValue)}
	}
	return clean
}

// redactedError replaces an error whose text held a secret, and matches the same. It has no Unwrap,
// since code that prints each error of a chain would print the secret. It holds the error in a
// function, since package fmt prints fields for a verb that doesn't fit.
type redactedError struct{ err func() error }

func (e *redactedError) Error() string { return redacted }

// Is and As say what [errors.Is] and [errors.As] find.
func (e *redactedError) Is(target error) bool { return errors.Is(e.err(), target) }

// As is like Is.
func (e *redactedError) As(target any) bool { return errors.As(e.err(), target) }

// redactError returns err, or if there is a secret in it, a redacted error that matches the same.
func redactError(err error, s secrets) error {
	for _, secret := range slices.Concat(s.anywhere, s.whole) {
		for word := range strings.FieldsSeq(secret) { // net/http quotes words of what is not HTTP
			s = s.with(minPassword, Secret(word))
		}
	}
	if s.inForms().inError(err) {
		return &redactedError{func() error { return err }}
	}
	return err
}

// inError reports whether a text of err, or of an error that it wraps, holds a secret.
func (s secrets) inError(err error) bool {
	var wrapped []error
	switch e := err.(type) { //nolint:errorlint // it walks the tree
	case interface{ Unwrap() error }:
		wrapped = []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		wrapped = e.Unwrap()
	}
	return err != nil && (s.redact(err.Error()) == redacted || slices.ContainsFunc(wrapped, s.inError))
}
