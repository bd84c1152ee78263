package fastly

import (
	"context"
	"slices"
	"strings"
	"time"
)

// TokenResponse is an API token without the access token, which only a create
// returns. What the API leaves out, or sends as null or empty, is the zero value.
// Times that a [TokensService] returns are in UTC. With encoding/json it marshals
// to the API's names, without zero times, and unmarshals from them.
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/
type TokenResponse struct {
	// ID identifies the token in calls such as [TokensService.RevokeToken]. It is not a secret.
	ID string `json:"id"`
	// Name need not be unique.
	Name string `json:"name"`
	// UserID and CustomerID are those of the token's user and account.
	UserID     string `json:"user_id"`
	CustomerID string `json:"customer_id"`
	// Scopes is what the token may do.
	Scopes Scopes `json:"scope"`
	// Services limits the token to these service IDs. Empty means every service
	// of the account.
	Services []string `json:"services"`
	// CreatedAt, UpdatedAt (last change) and DeletedAt (revoked) are zero for
	// never, or if not reported.
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
	DeletedAt time.Time `json:"deleted_at,omitzero"`
	// ExpiresAt is when the token stops working. Zero means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// LastUsedAt is zero if the token was never used, or if not reported.
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
	// SudoExpiresAt is when the confirmation by POST /sudo ends. Zero means that
	// there is none.
	SudoExpiresAt time.Time `json:"sudo_expires_at,omitzero"`
	// IP and UserAgent are those of the client that last used the token.
	IP        string `json:"ip"`
	UserAgent string `json:"user_agent"`
}

// Expired reports whether the token has expired at the given time. It is false
// for a token that never expires.
func (t TokenResponse) Expired(at time.Time) bool {
	return !t.ExpiresAt.IsZero() && !at.Before(t.ExpiresAt)
}

// Allows reports whether the token's scopes and services include a scope on a
// service; an empty serviceID stands for none in particular. [ScopeGlobal] covers
// every scope. Expiry, revocation and the user's own rights are not considered.
func (t TokenResponse) Allows(scope Scope, serviceID string) bool {
	return (t.Scopes.Has(scope) || t.Scopes.Has(ScopeGlobal)) &&
		(serviceID == "" || len(t.Services) == 0 || slices.Contains(t.Services, serviceID))
}

// TokenCreatedResponse is a new token with its access token. Together with an
// error it can be incomplete: see [TokensService.CreateToken].
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#create-token
type TokenCreatedResponse struct {
	TokenResponse
	// AccessToken is the credential itself. The API shows it only here: store
	// what Reveal returns before anything else.
	AccessToken Secret `json:"access_token"`
}

// CreateTokenRequest describes the token to create. Every field is optional, and
// sent only if set; the zero value is a valid request. It can be reused.
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#create-token
type CreateTokenRequest struct {
	// Name, if unique, finds a token whose response was lost: see
	// [ErrOutcomeUnknown].
	Name string
	// Scopes is what the token may do. Empty means [ScopeGlobal].
	Scopes Scopes
	// Services limits the token to these service IDs. Empty means every service
	// of the account.
	Services []string
	// ExpiresAt is when the token stops working, sent in UTC, truncated to
	// the second. Zero means never.
	ExpiresAt time.Time
	// Username and Password, both or neither, are those of a Fastly user. They
	// replace the client's own credentials and cookies.
	Username string
	Password Secret
	// OTP is the current one-time password of an account with two-factor
	// authentication, sent as the Fastly-OTP header.
	OTP Secret
	// OTPFunc, if not nil, is called instead for each attempt, with the context of
	// the call: a code may expire while a retry waits. Its time does not count
	// towards an attempt's timeout. Its error ends the call; an empty
	// result sends no header.
	OTPFunc func(context.Context) (Secret, error) `json:"-"`
}

// Scope is a permission of a token. Unknown values are kept unchanged.
type Scope string

// The scopes that the API documents.
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/
const (
	ScopeGlobal      Scope = "global"       // everything its user may do
	ScopePurgeSelect Scope = "purge_select" // purge by surrogate key and by URL
	ScopePurgeAll    Scope = "purge_all"    // purge whole services
	ScopeGlobalRead  Scope = "global:read"  // read everything, change nothing
)

// Scopes is a set of scopes in the API's order. Its text form, in JSON and
// elsewhere, is space-delimited: "purge_all purge_select".
type Scopes []Scope

// ParseScopes reads scopes separated by spaces or commas: "purge_all
// purge_select". It accepts any names, and returns nil for none.
func ParseScopes(text string) Scopes { return splitScopes(strings.ReplaceAll(text, ",", " ")) }

func splitScopes(text string) (s Scopes) {
	for name := range strings.FieldsSeq(text) {
		s = append(s, Scope(name))
	}
	return s
}

// String returns the scopes separated by spaces, the API's form.
func (s Scopes) String() string {
	names := make([]string, len(s))
	for i, scope := range s {
		names[i] = string(scope)
	}
	return strings.Join(names, " ")
}

// Has reports whether scope is one of s by name: [ScopeGlobal] is not
// [ScopePurgeAll]. See also [TokenResponse.Allows].
func (s Scopes) Has(scope Scope) bool { return slices.Contains(s, scope) }

// MarshalText returns the same as [Scopes.String], and no error.
func (s Scopes) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText replaces s by the scopes of a space-delimited text, and never fails.
func (s *Scopes) UnmarshalText(text []byte) error {
	*s = splitScopes(string(text))
	return nil
}
