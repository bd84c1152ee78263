package fastly

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Secret is a credential that does not print: every formatting verb, log and encoder (JSON, XML,
// text, gob) gets [REDACTED]. [Secret.Reveal] returns it. It unmarshals like a string.
//
// Code that calls no methods still shows it: a conversion such as string(s); package fmt for the
// verbs %p and %w, which go vet reports, and for unexported fields of a struct; encoding/json for
// the keys of a map; and whatever prints by reflection, such as some test libraries.
type Secret string

// Reveal returns the value as a plain string, which prints.
func (s Secret) Reveal() string { return string(s) }

// String returns [REDACTED], even for an empty secret.
func (s Secret) String() string { return redacted }

// Format implements [fmt.Formatter]: [REDACTED] for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns [REDACTED]; encoding/json and encoding/xml use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalBinary returns [REDACTED]; encoding/gob and CBOR packages use it.
func (s Secret) MarshalBinary() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalBinary sets s to data.
func (s *Secret) UnmarshalBinary(data []byte) error { *s = Secret(data); return nil }

// Format implements [fmt.Formatter]: the base URL, for every verb.
func (c *Client) Format(f fmt.State, _ rune) {
	base := "none"
	if c != nil && c.base != nil {
		base = c.base.String()
	}
	_, _ = fmt.Fprintf(f, "fastly.Client(%s)", base)
}

// Format implements [fmt.Formatter]: the fields, Key redacted, for every verb.
func (t APIKeyTransport) Format(f fmt.State, verb rune) {
	type plain APIKeyTransport
	formatFields(f, verb, "APIKeyTransport", plain(t))
}

// Format implements [fmt.Formatter]: the fields, Password redacted, for every verb.
func (t BasicAuthTransport) Format(f fmt.State, verb rune) {
	type plain BasicAuthTransport
	formatFields(f, verb, "BasicAuthTransport", plain(t))
}

// Format implements [fmt.Formatter]: the fields, AccessToken redacted, for every verb.
func (r TokenCreatedResponse) Format(f fmt.State, verb rune) {
	type plain TokenCreatedResponse
	formatFields(f, verb, "TokenCreatedResponse", plain(r))
}

// Format implements [fmt.Formatter]: the fields, Password and OTP redacted, for every verb.
func (r CreateTokenRequest) Format(f fmt.State, verb rune) {
	type plain CreateTokenRequest
	formatFields(f, verb, "CreateTokenRequest", plain(r))
}

// formatFields prints a struct that holds credentials, given as a type without methods. A verb that
// doesn't fit a pointer to it, such as %s, makes package fmt print fields without calling methods.
func formatFields(f fmt.State, verb rune, name string, fields any) {
	format := "%+v"
	if verb == 'v' {
		format = fmt.FormatString(f, verb)
	}
	text := fmt.Sprintf(format, fields)
	_, _ = io.WriteString(f, strings.Replace(text, "fastly.plain{", "fastly."+name+"{", 1))
}
