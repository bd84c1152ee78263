package fastlytest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

func TestTokenIsEncodedAsByTheAPI(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.AddUser(User{ID: "u1"})
	a.AddToken(u.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		ID: "T1", Name: "n", Scopes: fastly.Scopes{"purge_all", "purge_select", "new:scope"},
		Services:  []string{"S1", "S2"},
		CreatedAt: start.Add(-time.Hour + 5), ExpiresAt: start.Add(time.Hour).In(time.FixedZone("", 3600)),
		LastUsedAt: start, IP: "192.0.2.1", UserAgent: "ua", SudoExpiresAt: start,
	}})
	r := a.send("GET", "/tokens/T1", key(a.Key()))
	require.Equal(t, 200, r.status)
	assert.Equal(t, map[string]any{
		"id": "T1", "user_id": "u1", "customer_id": a.User().CustomerID, "name": "n",
		"last_used_at": "2030-05-06T07:30:00Z", "created_at": "2030-05-06T06:30:00Z",
		"expires_at": "2030-05-06T08:30:00Z", "sudo_expires_at": "2030-05-06T07:30:00Z",
		"ip": "192.0.2.1", "user_agent": "ua",
		"scope":  "purge_all purge_select new:scope",
		"scopes": []any{"purge_all", "purge_select", "new:scope"}, "services": []any{"S1", "S2"}, "service_id": "S2",
	}, decode[map[string]any](t, r))

	// Unset is null.
	k := a.token(u.ID, "T2")
	got := decode[map[string]any](t, a.send("GET", "/tokens/T2", key(a.Key())))
	for _, name := range []string{"last_used_at", "expires_at", "ip", "user_agent", "sudo_expires_at", "service_id"} {
		assert.Contains(t, got, name)
		assert.Nil(t, got[name], name)
	}
	assert.Equal(t, []any{}, got["services"])

	// Use shows at once.
	a.Advance(1500 * time.Millisecond)
	got = decode[map[string]any](t, a.send("GET", "/tokens/self", key(k)))
	assert.Equal(t, "T2", got["id"])
	assert.Equal(t, "2030-05-06T07:30:01Z", got["last_used_at"])
	assert.Contains(t, []any{"127.0.0.1", "::1"}, got["ip"])
	assert.Equal(t, "tester/1", got["user_agent"])
}

func TestServiceIDIsTheLastOfSeveralServices(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, tc := range []struct {
		fields []string
		want   any
	}{
		{nil, nil},
		{[]string{"services[]", "S1"}, "S1"},
		{[]string{"services[]", "S1", "services[]", "S3", "services[]", "S2"}, "S2"},
	} {
		u := a.AddUser(User{})
		r := a.send("POST", "/tokens", loggedIn(u, tc.fields...))
		k := a.made(r).AccessToken
		assert.Equal(t, tc.want, decode[map[string]any](t, r)["service_id"], "create")
		assert.Equal(t, tc.want, decode[map[string]any](t, a.send("GET", "/tokens/self", key(k)))["service_id"], "get")
		list := decode[[]map[string]any](t, a.send("GET", "/tokens", key(k)))
		assert.Equal(t, tc.want, list[0]["service_id"], "list")
	}
}
