package fastly

import (
	"context"
	"slices"
	"strings"
	"time"
)

// TokenResponse is an API token without the access token, which only a create returns. What the API
// leaves out, or sends as null or "", is the zero value: for a time, that means never or not
// reported. Times that a [TokensService] returns are in UTC. With encoding/json it marshals to and
// from the API's names; zero times are left out.
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/
type TokenResponse struct {
	ID            string    `json:"id"`                       // not a secret
	Name          string    `json:"name"`                     // need not be unique (assumed)
	UserID        string    `json:"user_id"`                  // its user; empty for an automation token
	CustomerID    string    `json:"customer_id"`              // its customer: the company
	Scopes        Scopes    `json:"scope"`                    // what it may do
	Services      []string  `json:"services"`                 // IDs; none means all of the customer's,
	LimitServices bool      `json:"limit_services,omitzero"`  // or, if this is true, no service
	CreatedAt     time.Time `json:"created_at,omitzero"`      // when it was made
	UpdatedAt     time.Time `json:"updated_at,omitzero"`      // last change
	DeletedAt     time.Time `json:"deleted_at,omitzero"`      // when it was revoked
	ExpiresAt     time.Time `json:"expires_at,omitzero"`      // when it stops working
	LastUsedAt    time.Time `json:"last_used_at,omitzero"`    // can lag by minutes
	SudoExpiresAt time.Time `json:"sudo_expires_at,omitzero"` // end of its confirmation by POST /sudo
	IP            string    `json:"ip"`                       // of the client that last used it
	UserAgent     string    `json:"user_agent"`               // of the client that last used it
}

// Expired reports whether the token has expired by the given time. One that never expires has not.
func (t TokenResponse) Expired(at time.Time) bool {
	return !t.ExpiresAt.IsZero() && !at.Before(t.ExpiresAt)
}

// Allows reports whether the token's scopes and services include the scope on the service; an empty
// serviceID means no particular service, so that the scopes alone decide. [ScopeGlobal] covers
// every scope. Expiry, revocation and the user's own rights are not considered.
func (t TokenResponse) Allows(scope Scope, serviceID string) bool {
	limited := t.LimitServices || len(t.Services) > 0
	return (t.Scopes.Has(scope) || t.Scopes.Has(ScopeGlobal)) &&
		(serviceID == "" || !limited || slices.Contains(t.Services, serviceID))
}

// TokenCreatedResponse is a new token with its access token. If it is returned with an error, it
// can be incomplete: see [TokensService.CreateToken].
type TokenCreatedResponse struct {
	TokenResponse
	AccessToken Secret `json:"access_token"` // shown only here: store what Reveal returns before anything else
}

// CreateTokenRequest describes the token to create. Every field is optional, and sent only if set;
// the zero value is a valid request. It can be reused.
type CreateTokenRequest struct {
	Name      string    // if unique, identifies a token whose create got no response: see [ErrOutcomeUnknown]
	Scopes    Scopes    // what the token may do; empty means [ScopeGlobal] (documented)
	Services  []string  // IDs of the services it is limited to; empty means all of the customer's
	ExpiresAt time.Time // when it stops working, sent in UTC, truncated to the second; zero means never
	// Lifetime, if not zero, replaces ExpiresAt. It counts from each attempt by the API's clock, as
	// far as responses have shown it, else by the local one, and is rounded up to the second.
	Lifetime time.Duration
	Username string // of a Fastly user; both Username and Password, or neither
	Password Secret // with Username, sent instead of the client's own credentials
	OTP      Secret // one-time password, for two-factor authentication: the Fastly-OTP header
	// OTPFunc, if not nil, replaces OTP. It is called before each attempt and its timeout, with the
	// context of the call: a code may expire while a retry waits. Its error ends the call; an empty
	// result sends no header.
	OTPFunc func(context.Context) (Secret, error) `json:"-"`
}

// Scope is a permission of a token. Unknown values are kept unchanged.
type Scope string

// The scopes that the API documents.
const (
	ScopeGlobal      Scope = "global"       // everything its user may do
	ScopePurgeSelect Scope = "purge_select" // purge by surrogate key and by URL
	ScopePurgeAll    Scope = "purge_all"    // purge whole services
	ScopeGlobalRead  Scope = "global:read"  // read everything, change nothing
)

// Scopes is a set of scopes in the API's order. Its text form, in JSON and elsewhere, is
// space-delimited: "purge_all purge_select".
type Scopes []Scope

// ParseScopes reads scopes of any names, separated by spaces or commas. It returns nil for none.
func ParseScopes(text string) Scopes {
	var s Scopes
	for name := range strings.FieldsSeq(strings.ReplaceAll(text, ",", " ")) {
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

// Has reports whether s has scope by name. [TokenResponse.Allows] knows what a scope includes.
func (s Scopes) Has(scope Scope) bool { return slices.Contains(s, scope) }

// MarshalText returns the same as [Scopes.String], and no error.
func (s Scopes) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText replaces s with what [ParseScopes] returns, and never fails.
func (s *Scopes) UnmarshalText(text []byte) error { *s = ParseScopes(string(text)); return nil }
