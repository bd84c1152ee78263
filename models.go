package fastly

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// TokenResponse is an API token as the API describes it: everything but the
// access token itself, which only a create returns ([TokenCreatedResponse]).
//
// It holds plain values. What the API sends as null or leaves out is the zero
// value, and members that this library does not know are ignored. Times that a
// [TokensService] returns are in UTC. With encoding/json it marshals to the API's
// own names, zero times left out, and unmarshals from them.
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/
type TokenResponse struct {
	// ID identifies the token in calls such as [TokensService.RevokeToken]. It
	// is not a secret.
	ID string `json:"id"`
	// Name is what its maker called it. Several tokens can have the same.
	Name string `json:"name"`
	// UserID and CustomerID are those of the token's user and of that user's
	// account.
	UserID     string `json:"user_id"`
	CustomerID string `json:"customer_id"`
	// Scopes is what the token may do; the API joins them with spaces.
	Scopes Scopes `json:"scope"`
	// Services holds the IDs of the services the token is limited to. Empty
	// means every service of the account.
	Services []string `json:"services"`
	// CreatedAt, UpdatedAt and DeletedAt are when the token was made, last
	// changed and revoked. Zero means never, or not reported.
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
	DeletedAt time.Time `json:"deleted_at,omitzero"`
	// ExpiresAt is when the token stops working. Zero means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// LastUsedAt is when the token was last used. Zero means never, or not
	// reported.
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
	// SudoExpiresAt is when the user's last password confirmation ends.
	SudoExpiresAt time.Time `json:"sudo_expires_at,omitzero"`
	// IP and UserAgent are those of the client that last used the token.
	IP        string `json:"ip"`
	UserAgent string `json:"user_agent"`
}

// TokenCreatedResponse is a new token together with its access token. Next to an
// error it can be incomplete: see [TokensService.CreateToken].
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#create-token
type TokenCreatedResponse struct {
	TokenResponse
	// AccessToken is the credential itself. The API shows it once, in the
	// answer to the create, and never again: store it before anything else. As
	// a Secret it marshals as [REDACTED]: store what Reveal returns.
	AccessToken Secret `json:"access_token"`
}

// CreateTokenRequest says what token to create. Every field is optional and
// the zero value is a valid request; a field that is not set is not sent. A call
// reads it and is done with it before anything is sent.
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#create-token
type CreateTokenRequest struct {
	// Name is what to call the token. With a name that no other token has, one
	// whose answer was lost can be found: see [ErrOutcomeUnknown].
	Name string
	// Scopes is what the token may do. Empty leaves it to the API, which
	// gives [ScopeGlobal].
	Scopes Scopes
	// Services limits the token to these service IDs. Empty means every
	// service of the account.
	Services []string
	// ExpiresAt is when the token stops working, sent in UTC to the second
	// (any fraction is dropped). Zero means never.
	ExpiresAt time.Time
	// Username and Password confirm who is asking, as form fields. With a
	// client made by [WithBasicAuth] they are not needed.
	Username string
	Password Secret
	// OTP is the current one-time password of an account with two-factor
	// authentication. It is sent as the Fastly-OTP header.
	OTP Secret
}

// Scope is one thing that a token may do. Values other than the constants are
// kept as they come and sent as they are.
type Scope string

// The scopes the API documents.
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/
const (
	ScopeGlobal      Scope = "global"       // everything its user may do
	ScopePurgeSelect Scope = "purge_select" // purge by surrogate key and by URL
	ScopePurgeAll    Scope = "purge_all"    // purge whole services
	ScopeGlobalRead  Scope = "global:read"  // read everything, change nothing
)

// Scopes is a set of scopes, in the API's order. Its text form, in JSON and
// elsewhere, is space-delimited: "purge_all purge_select".
type Scopes []Scope

// String returns the scopes joined by spaces, the form the API uses.
func (s Scopes) String() string {
	switch len(s) {
	case 0:
		return ""
	case 1:
		return string(s[0])
	}
	var b strings.Builder
	for i, scope := range s {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(scope))
	}
	return b.String()
}

// Has reports whether scope is one of s. It compares names only: a token with
// [ScopeGlobal] may purge, and yet does not have [ScopePurgeAll].
func (s Scopes) Has(scope Scope) bool { return slices.Contains(s, scope) }

// MarshalText returns what [Scopes.String] does, and never an error.
func (s Scopes) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the space-delimited form, in place of what s held. Every
// text will do: there is no error.
func (s *Scopes) UnmarshalText(text []byte) error {
	*s = nil
	for name := range strings.FieldsSeq(string(text)) {
		*s = append(*s, Scope(name))
	}
	return nil
}

const redacted = "[REDACTED]"

// Secret is a credential that does not show itself: it prints with every
// formatting verb, logs, and marshals (JSON, XML, text, gob) as [REDACTED].
// [Secret.Reveal] is the one way to its value. It unmarshals like a string.
//
// What looks at a string past its methods shows it all the same: package fmt in
// two misuses that go vet reports (the verb %p, and %w with what is no error) and
// in the unexported fields of a struct; encoding/json in the keys of a map; and
// what prints by reflection, such as a failing assertion of some test libraries.
type Secret string

// Reveal returns the value, for where it is needed. The result is a plain string,
// and prints.
func (s Secret) Reveal() string { return string(s) }

// String returns [REDACTED].
func (s Secret) String() string { return redacted }

// Format implements [fmt.Formatter]: [REDACTED] for every verb.
func (s Secret) Format(f fmt.State, _ rune) {
	// A failed write has nowhere to be reported to.
	_, _ = f.Write([]byte(redacted))
}

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns [REDACTED]; encoding/json and encoding/xml use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// GobEncode returns [REDACTED].
func (s Secret) GobEncode() ([]byte, error) { return []byte(redacted), nil }

// GobDecode is the other half of [Secret.GobEncode].
func (s *Secret) GobDecode(text []byte) error {
	*s = Secret(text)
	return nil
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

// formatFields prints the fields of a type that holds credentials. Left to
// package fmt, a verb that does not fit a pointer to one, such as %s, would show
// a Secret in it: fmt then calls no methods at all. The fields come as a type
// without methods, which must not show either.
func formatFields(f fmt.State, verb rune, name string, fields any) {
	format := "%+v"
	if verb == 'v' {
		format = fmt.FormatString(f, verb)
	}
	text := fmt.Sprintf(format, fields)
	// A failed write has nowhere to be reported to.
	_, _ = f.Write([]byte(strings.Replace(text, "fastly.plain{", "fastly."+name+"{", 1)))
}
