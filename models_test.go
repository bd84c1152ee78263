package fastly_test

import (
	"encoding/json"
	"io"
	"net/http"
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

func TestTokenResponseLeavesZeroTimesOut(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(fastly.TokenResponse{ID: someID, Scopes: fastly.Scopes{fastly.ScopeGlobal}, Services: []string{}})
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"id": "`+someID+`", "name": "", "user_id": "", "customer_id": "", "scope": "global",
		"services": [], "ip": "", "user_agent": ""
	}`, string(text))

	text, err = json.Marshal(fastly.TokenResponse{ExpiresAt: date(4)})
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(text, &members))
	assert.Equal(t, "2030-04-02T03:04:05Z", members["expires_at"])
	for _, name := range []string{"created_at", "updated_at", "deleted_at", "last_used_at", "sudo_expires_at"} {
		assert.NotContains(t, members, name)
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

func TestScopes(t *testing.T) {
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

			back := fastly.Scopes{"what was there before"}
			require.NoError(t, back.UnmarshalText([]byte(test.text)))
			assert.Equal(t, test.scopes, back)
			for _, scope := range test.scopes {
				assert.True(t, test.scopes.Has(scope), "%s", scope)
			}
			assert.False(t, test.scopes.Has("purge"), "a part of a name")
			assert.False(t, test.scopes.Has(""), "no name")
		})
	}
}

func TestScopesUnmarshalAnySpacing(t *testing.T) {
	t.Parallel()
	var got fastly.Scopes
	require.NoError(t, got.UnmarshalText([]byte("  purge_all\t purge_select\n")))
	assert.Equal(t, fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect}, got)
	require.NoError(t, got.UnmarshalText([]byte("  ")))
	assert.Empty(t, got)
}

func TestScopesAreTheNamesTheAPIUses(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "global purge_select purge_all global:read",
		fastly.Scopes{fastly.ScopeGlobal, fastly.ScopePurgeSelect, fastly.ScopePurgeAll, fastly.ScopeGlobalRead}.String())
}

func TestGlobalScopeHasNoOtherByName(t *testing.T) {
	t.Parallel()
	assert.False(t, fastly.Scopes{fastly.ScopeGlobal}.Has(fastly.ScopePurgeAll))
	assert.False(t, fastly.Scopes{fastly.ScopeGlobalRead}.Has(fastly.ScopeGlobal))
}

// tokenForms are forms in which the API may send a token, with what they mean.
var tokenForms = map[string]struct {
	json string
	want fastly.TokenResponse
}{
	"every field":              {fullTokenJSON, fullToken},
	"an ID alone":              {`{"id":"` + someID + `"}`, fastly.TokenResponse{ID: someID}},
	"an unknown scope":         {`{"id":"` + someID + `","scope":"brand:new"}`, fastly.TokenResponse{ID: someID, Scopes: fastly.Scopes{"brand:new"}}},
	"several scopes":           {`{"id":"` + someID + `","scope":"purge_all purge_select global:read"}`, fastly.TokenResponse{ID: someID, Scopes: fullToken.Scopes}},
	"scopes of both forms":     {`{"id":"` + someID + `","scope":"purge_all","scopes":["purge_all"]}`, fastly.TokenResponse{ID: someID, Scopes: fastly.Scopes{"purge_all"}}},
	"scopes as an array alone": {`{"id":"` + someID + `","scope":null,"scopes":["purge_all","global:read"]}`, fastly.TokenResponse{ID: someID, Scopes: fastly.Scopes{"purge_all", "global:read"}}},
	"an empty scope":           {`{"id":"` + someID + `","scope":""}`, fastly.TokenResponse{ID: someID}},
	"empty services":           {`{"id":"` + someID + `","services":[]}`, fastly.TokenResponse{ID: someID}},
	"the legacy service":       {`{"id":"` + someID + `","service_id":"` + someService + `"}`, fastly.TokenResponse{ID: someID, Services: []string{someService}}},
	"services and the legacy":  {`{"id":"` + someID + `","services":["` + otherService + `"],"service_id":"` + someService + `"}`, fastly.TokenResponse{ID: someID, Services: []string{otherService}}},
	"nulls": {`{"id":"` + someID + `","name":null,"user_id":null,"customer_id":null,"scope":null,"scopes":null,"services":null,
		"service_id":null,"created_at":null,"updated_at":null,"deleted_at":null,"expires_at":null,"last_used_at":null,
		"sudo_expires_at":null,"ip":null,"user_agent":null}`, fastly.TokenResponse{ID: someID}},
	"additional fields":    {`{"new":{"deep":[1,{"id":"other"}]},"id":"` + someID + `","more":[null,true,-1.5e3],"tls":false}`, fastly.TokenResponse{ID: someID}},
	"an offset of zero":    {`{"id":"` + someID + `","created_at":"2030-01-02T03:04:05+00:00"}`, fastly.TokenResponse{ID: someID, CreatedAt: date(1)}},
	"another offset":       {`{"id":"` + someID + `","created_at":"2030-01-02T05:04:05+02:00"}`, fastly.TokenResponse{ID: someID, CreatedAt: date(1)}},
	"fractions of seconds": {`{"id":"` + someID + `","created_at":"2030-01-02T03:04:05.000Z"}`, fastly.TokenResponse{ID: someID, CreatedAt: date(1)}},
	"escaped text":         {`{"id":"` + someID + `","name":"caf\u00e9 \"x\"\n"}`, fastly.TokenResponse{ID: someID, Name: "café \"x\"\n"}},
}

// assertToken compares what decoding has to keep: an empty list is as good as
// none.
func assertToken(t *testing.T, want, got fastly.TokenResponse) {
	t.Helper()
	if len(got.Services) == 0 {
		got.Services = nil
	}
	if len(got.Scopes) == 0 {
		got.Scopes = nil
	}
	assert.Equal(t, want, got)
}

func TestEveryFormOfATokenIsRead(t *testing.T) {
	t.Parallel()
	for name, form := range tokenForms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
				answer := form.json
				if r.URL.Path == "/tokens" && r.Method == http.MethodGet || r.URL.Path == "/customer/"+someCustomer+"/tokens" {
					answer = "[" + form.json + `,{"id":"` + otherID + `"}]`
				} else if r.Method == http.MethodPost {
					answer = `{"access_token":"` + someKey + `",` + form.json[1:]
				}
				_, _ = io.WriteString(w, answer)
			})
			c := srv.client(t)
			got, err := c.Tokens.GetToken(t.Context(), someID)
			require.NoError(t, err)
			assertToken(t, form.want, *got)

			got, err = c.Tokens.GetTokenCurrent(t.Context())
			require.NoError(t, err)
			assertToken(t, form.want, *got)

			list, err := c.Tokens.ListTokensUser(t.Context())
			require.NoError(t, err)
			require.Len(t, list, 2)
			assertToken(t, form.want, list[0])
			assertToken(t, fastly.TokenResponse{ID: otherID}, list[1])

			list, err = c.Tokens.ListTokensCustomer(t.Context(), someCustomer)
			require.NoError(t, err)
			require.Len(t, list, 2)
			assertToken(t, form.want, list[0])

			created, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
			require.NoError(t, err)
			assertToken(t, form.want, created.TokenResponse)
			assert.Equal(t, someKey, created.AccessToken.Reveal())
		})
	}
}

func TestAnEmptyListIsNotNil(t *testing.T) {
	t.Parallel()
	c := newStub(t, http.StatusOK, nil, "[]").client(t)
	list, err := c.Tokens.ListTokensUser(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []fastly.TokenResponse{}, list)
	list, err = c.Tokens.ListTokensCustomer(t.Context(), someCustomer)
	require.NoError(t, err)
	assert.Equal(t, []fastly.TokenResponse{}, list)
}
