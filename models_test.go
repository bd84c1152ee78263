package fastly_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

func date(month time.Month) time.Time { return time.Date(2030, month, 2, 3, 4, 5, 0, time.UTC) }

// fullToken has every field set, each to a value of its own.
var fullToken = fastly.TokenResponse{
	ID: someID, Name: "deploy", UserID: "4Pm7", CustomerID: someCustomer,
	Scopes:   fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect, fastly.ScopeGlobalRead},
	Services: []string{someService, otherService}, CreatedAt: date(1), UpdatedAt: date(2), DeletedAt: date(3),
	ExpiresAt: date(4), LastUsedAt: date(5), SudoExpiresAt: date(6), IP: "192.0.2.7", UserAgent: "curl/8",
}

const fullTokenJSON = `{
	"id": "` + someID + `", "name": "deploy", "user_id": "4Pm7", "customer_id": "` + someCustomer + `",
	"scope": "purge_all purge_select global:read",
	"services": ["` + someService + `", "` + otherService + `"],
	"created_at": "2030-01-02T03:04:05Z", "updated_at": "2030-02-02T03:04:05Z", "deleted_at": "2030-03-02T03:04:05Z",
	"expires_at": "2030-04-02T03:04:05Z", "last_used_at": "2030-05-02T03:04:05Z", "sudo_expires_at": "2030-06-02T03:04:05Z",
	"ip": "192.0.2.7", "user_agent": "curl/8"
}`

func TestTokenResponseRoundTripsThroughJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(fullToken)
	require.NoError(t, err)
	assert.JSONEq(t, fullTokenJSON, string(text))

	var back fastly.TokenResponse
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, fullToken, back)
}

func TestTokenResponseMarshalsWithoutZeroTimes(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(fastly.TokenResponse{ID: someID, Scopes: fastly.Scopes{fastly.ScopeGlobal}, Services: []string{}})
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"id": "`+someID+`", "name": "", "user_id": "", "customer_id": "", "scope": "global",
		"services": [], "ip": "", "user_agent": ""
	}`, string(text))

	text, err = json.Marshal(fastly.TokenResponse{ExpiresAt: date(4)})
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(text, &fields))
	assert.Equal(t, "2030-04-02T03:04:05Z", fields["expires_at"])
	for _, name := range []string{"created_at", "updated_at", "deleted_at", "last_used_at", "sudo_expires_at"} {
		assert.NotContains(t, fields, name)
	}
}

func TestTokenResponseUnmarshalsNullsToZero(t *testing.T) {
	t.Parallel()
	var got fastly.TokenResponse
	require.NoError(t, json.Unmarshal([]byte(`{
		"id": null, "name": null, "user_id": null, "customer_id": null, "scope": null, "services": null,
		"created_at": null, "updated_at": null, "deleted_at": null, "expires_at": null, "last_used_at": null,
		"sudo_expires_at": null, "ip": null, "user_agent": null, "something_new": {"a": [1]}
	}`), &got))
	assert.Equal(t, fastly.TokenResponse{}, got)
}

func TestTokenCreatedResponseMarshalsEverythingButTheAccessToken(t *testing.T) {
	t.Parallel()
	created := fastly.TokenCreatedResponse{TokenResponse: fullToken, AccessToken: someKey}
	text, err := json.Marshal(created)
	require.NoError(t, err)
	assert.NotContains(t, string(text), someKey)

	var want, got map[string]any
	require.NoError(t, json.Unmarshal([]byte(fullTokenJSON), &want))
	want["access_token"] = "[REDACTED]"
	require.NoError(t, json.Unmarshal(text, &got))
	assert.Equal(t, want, got)

	var back fastly.TokenCreatedResponse
	require.NoError(t, json.Unmarshal([]byte(`{"id":"`+someID+`","access_token":"`+someKey+`"}`), &back))
	assert.Equal(t, someID, back.ID)
	assert.Equal(t, someKey, back.AccessToken.Reveal())
}

func TestTokenIsExpiredFromExpiresAtOn(t *testing.T) {
	t.Parallel()
	token := fastly.TokenResponse{ExpiresAt: date(4)}
	elsewhere := time.FixedZone("", -7*3600)
	for at, want := range map[time.Time]bool{
		{}:                            false,
		date(3):                       false,
		date(4).Add(-1):               false,
		date(4).Add(-1).In(elsewhere): false,
		date(4):                       true,
		date(4).In(elsewhere):         true,
		date(4).Add(1):                true,
		date(4).AddDate(100, 0, 0):    true,
	} {
		assert.Equal(t, want, token.Expired(at), "a token that expires at %v, at %v", token.ExpiresAt, at)
		assert.False(t, fastly.TokenResponse{}.Expired(at), "a token that never expires, at %v", at)
	}
	created := fastly.TokenCreatedResponse{TokenResponse: token}
	assert.True(t, created.Expired(date(4)), "a created token, too")
}

func TestTokenAllowsItsScopesOnItsServices(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		scopes   string
		services []string
		scope    fastly.Scope
		service  string
		want     bool
	}{
		{"purge_all", nil, fastly.ScopePurgeAll, "", true},
		{"purge_all", nil, fastly.ScopePurgeAll, someService, true},
		{"purge_all", []string{}, fastly.ScopePurgeAll, someService, true},
		{"purge_all", nil, fastly.ScopePurgeSelect, "", false},
		{"purge_all purge_select", nil, fastly.ScopePurgeSelect, "", true},
		{"purge_all", nil, fastly.ScopeGlobal, "", false},
		{"purge_all", nil, "", "", false},
		{"", nil, fastly.ScopePurgeAll, "", false},
		{"", nil, "", "", false},

		// The scope global covers every scope, unknown ones included, and
		// global:read covers nothing else.
		{"global", nil, fastly.ScopeGlobal, "", true},
		{"global", nil, fastly.ScopePurgeAll, someService, true},
		{"global", nil, fastly.ScopeGlobalRead, "", true},
		{"purge_all global", nil, "brand:new", someService, true},
		{"global:read", nil, fastly.ScopeGlobal, "", false},
		{"global:read", nil, fastly.ScopePurgeAll, "", false},
		{"global:read", nil, fastly.ScopeGlobalRead, "", true},

		// Services limit every scope, global included.
		{"purge_all", []string{someService, otherService}, fastly.ScopePurgeAll, otherService, true},
		{"purge_all", []string{someService}, fastly.ScopePurgeAll, otherService, false},
		{"purge_all", []string{someService}, fastly.ScopePurgeAll, "", true},
		{"purge_all", []string{someService}, fastly.ScopePurgeAll, someService[1:], false},
		{"global", []string{someService}, fastly.ScopePurgeAll, someService, true},
		{"global", []string{someService}, fastly.ScopePurgeAll, otherService, false},
		{"purge_select", []string{someService}, fastly.ScopePurgeAll, someService, false},
	} {
		token := fastly.TokenResponse{
			Scopes: fastly.ParseScopes(test.scopes), Services: test.services,
			ExpiresAt: date(1), DeletedAt: date(1), // which Allows does not look at
		}
		assert.Equal(t, test.want, token.Allows(test.scope, test.service),
			"scope %q of service %q, by a token with the scopes %q and the services %q", test.scope, test.service, test.scopes, test.services)
	}
}

// Of no service, an automation token may do nothing; of no particular one, its scopes decide.
func TestTokenLimitedToNoServiceAllowsNone(t *testing.T) {
	t.Parallel()
	none := fastly.TokenResponse{Scopes: fastly.Scopes{fastly.ScopeGlobal}, LimitServices: true}
	assert.False(t, none.Allows(fastly.ScopePurgeAll, someService))
	assert.True(t, none.Allows(fastly.ScopePurgeAll, ""))
	one := none
	one.Services = []string{someService}
	assert.True(t, one.Allows(fastly.ScopePurgeAll, someService))
	assert.False(t, one.Allows(fastly.ScopePurgeAll, otherService))

	text, err := json.Marshal(none)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"limit_services":true`)
	var back fastly.TokenResponse
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, none, back)
	text, err = json.Marshal(fastly.TokenResponse{})
	require.NoError(t, err)
	assert.NotContains(t, string(text), "limit_services")
}

func TestScopesRoundTripThroughText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		scopes fastly.Scopes
		text   string
	}{
		{nil, ""},
		{fastly.Scopes{fastly.ScopeGlobal}, "global"},
		{fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect}, "purge_all purge_select"},
		{fastly.Scopes{fastly.ScopeGlobalRead, "brand:new", fastly.ScopeGlobal}, "global:read brand:new global"},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.text, test.scopes.String())
			text, err := test.scopes.MarshalText()
			require.NoError(t, err)
			assert.Equal(t, test.text, string(text))

			back := fastly.Scopes{"previous"}
			require.NoError(t, back.UnmarshalText([]byte(test.text)))
			assert.Equal(t, test.scopes, back)
			for _, scope := range test.scopes {
				assert.True(t, test.scopes.Has(scope), "%s", scope)
			}
			assert.False(t, test.scopes.Has("purge"), "part of a name")
			assert.False(t, test.scopes.Has(""), "the empty name")

			assert.Equal(t, test.scopes, fastly.ParseScopes(test.text), "ParseScopes is the reverse of String")
		})
	}
}

func TestScopesUnmarshalTextWithAnyWhiteSpace(t *testing.T) {
	t.Parallel()
	var got fastly.Scopes
	require.NoError(t, got.UnmarshalText([]byte("  purge_all\t purge_select\n")))
	assert.Equal(t, fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect}, got)
	require.NoError(t, got.UnmarshalText([]byte("  ")))
	assert.Empty(t, got)
}

func TestScopeConstantsAreTheNamesOfTheAPI(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "global purge_select purge_all global:read",
		fastly.Scopes{fastly.ScopeGlobal, fastly.ScopePurgeSelect, fastly.ScopePurgeAll, fastly.ScopeGlobalRead}.String())
}

func TestScopesHasComparesNamesOnly(t *testing.T) {
	t.Parallel()
	assert.False(t, fastly.Scopes{fastly.ScopeGlobal}.Has(fastly.ScopePurgeAll))
	assert.False(t, fastly.Scopes{fastly.ScopeGlobalRead}.Has(fastly.ScopeGlobal))
}

func TestParseScopesTakesSpacesAndCommas(t *testing.T) {
	t.Parallel()
	both := fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect}
	for text, want := range map[string]fastly.Scopes{
		"":                           nil,
		" , ,\t\n":                   nil,
		"purge_all purge_select":     both,
		"purge_all,purge_select":     both,
		", purge_all ,,purge_select": both,
		"purge_all\npurge_select,":   both,
		"brand:new":                  {"brand:new"},
		"purge_select purge_all":     {fastly.ScopePurgeSelect, fastly.ScopePurgeAll},
		"global global":              {fastly.ScopeGlobal, fastly.ScopeGlobal},
	} {
		assert.Equal(t, want, fastly.ParseScopes(text), "%q", text)
	}
	assert.Len(t, fastly.ParseScopes(strings.Repeat("x,", 1000)), 1000)
}

// A function has no JSON form, and a request is logged all the same.
func TestCreateTokenRequestMarshalsWithoutItsFunction(t *testing.T) {
	t.Parallel()
	req := fastly.CreateTokenRequest{Name: "deploy", Password: "hush hush", OTPFunc: func(context.Context) (fastly.Secret, error) { return "", nil }}
	text, err := json.Marshal(req)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"Name":"deploy"`)
	assert.Contains(t, string(text), `"Password":"[REDACTED]"`)
	assert.NotContains(t, string(text), "OTPFunc")
}
