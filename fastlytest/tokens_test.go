package fastlytest

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

func TestCreateToken(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	r := a.send("POST", "/tokens", key(a.Key()), form(
		"name", "deploy <&>",
		"scope", "purge_all  purge_select purge_all",
		"services[]", "SVC1", "services[]", "SVC2",
		"expires_at", "2031-01-02T02:04:05.9+00:00",
		"unknown", "1", "unknown", "2",
	))
	require.Equal(t, 200, r.status, r.body)
	got := decode[map[string]any](t, r)
	id, accessToken := got["id"], got["access_token"]
	assert.Regexp(t, `^[A-Za-z0-9]{22}$`, id)
	assert.Regexp(t, `^[A-Za-z0-9_-]{32}$`, accessToken)
	assert.Equal(t, map[string]any{
		"id":           id,
		"name":         "deploy <&>",
		"user_id":      a.User().ID,
		"customer_id":  a.User().CustomerID,
		"service_id":   nil,
		"expires_at":   "2031-01-02T02:04:05Z",
		"created_at":   "2030-05-06T07:30:00Z",
		"updated_at":   "2030-05-06T07:30:00Z",
		"scope":        "purge_all purge_select",
		"services":     []any{"SVC1", "SVC2"},
		"access_token": accessToken,
	}, got)

	kept, ok := a.Token(id.(string))
	require.True(t, ok)
	assert.Equal(t, accessToken, kept.AccessToken.Reveal())
	assert.Equal(t, fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect}, kept.Scopes)
}

func TestCreateTokenDefaults(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	got := decode[map[string]any](t, a.send("POST", "/tokens", key(a.Key())))
	assert.Empty(t, got["name"])
	assert.Equal(t, "global", got["scope"])
	assert.Equal(t, []any{}, got["services"])
	assert.Nil(t, got["expires_at"])
	assert.Contains(t, got, "expires_at", "null, not left out")
	// And it works.
	r := a.send("GET", "/tokens/self", key(fastly.Secret(got["access_token"].(string))))
	assert.Equal(t, 200, r.status)
}

func TestCreateTokenRefusals(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, tc := range []struct {
		name   string
		form   mod
		status int
		code   string
	}{
		{"scope", form("scope", "global purge"), 400, "invalid_scope"},
		{"scope with tab", form("scope", "purge_all\tpurge_select"), 400, "invalid_scope"},
		{"scope case", form("scope", "Global"), 400, "invalid_scope"},
		{"service", form("services[]", "a/b"), 400, "Bad request"},
		{"empty service", form("services[]", ""), 400, "Bad request"},
		{"service without brackets", form("services", "SVC1"), 400, "Bad request"},
		{"numbered service", form("services[0]", "SVC1"), 400, "Bad request"},
		{"name twice", form("name", "a", "name", "b"), 400, "Bad request"},
		{"expiry twice", form("expires_at", "2031-01-02T02:04:05Z", "expires_at", "2031-01-02T02:04:05Z"), 400, "Bad request"},
		{"expiry is a date", form("expires_at", "2031-01-02"), 422, "expires_at"},
		{"expiry has no zone", form("expires_at", "2031-01-02T02:04:05"), 422, "expires_at"},
		{"expiry has a short hour", form("expires_at", "2031-01-02T2:04:05Z"), 422, "expires_at"},
		{"expiry has a comma", form("expires_at", "2031-01-02T02:04:05,5Z"), 422, "expires_at"},
		{"expiry is Unix", form("expires_at", "1924992000"), 422, "expires_at"},
		{"empty expiry", form("expires_at", ""), 422, "expires_at"},
		{"expiry past", form("expires_at", "2030-05-06T07:29:59Z"), 422, "expires_at"},
		{"expiry now", form("expires_at", "2030-05-06T07:30:00Z"), 422, "expires_at"},
		{"expiry zero", form("expires_at", "0001-01-01T00:00:00Z"), 422, "expires_at"},
		{"expiry in year 10000", form("expires_at", "9999-12-31T23:59:59-01:00"), 422, "expires_at"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := a.send("POST", "/tokens", key(a.Key()), tc.form)
			assertProblem(t, r, tc.status, tc.code)
		})
	}
	t.Cleanup(func() { assert.Len(t, a.Tokens(), 1, "refused creates create nothing") })
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2031, 1, 2, 2, 4, 5, 0, time.UTC)
	for _, s := range []string{
		"2031-01-02T02:04:05Z", "2031-01-02T02:04:05+00:00", "2031-01-02T02:04:05-00:00",
		"2031-01-02T03:34:05+01:30", "2031-01-01T22:04:05-04:00", "2031-01-02T02:04:05.999999Z", "2031-01-02t02:04:05z",
	} {
		got, ok := parseTime(s)
		assert.True(t, ok, s)
		assert.Equal(t, at, got, s)
	}
	for _, s := range []string{
		"", "2031", "2031-01-02", "2031-01-02T02:04Z", "2031-01-02 02:04:05Z", "2031-01-02T02:04:05", "2031-01-02T2:04:05Z",
		"2031-01-02T02:04:05,5Z", "2031-01-02T02:04:05.Z", "2031-13-02T02:04:05Z", "2031-02-29T02:04:05Z", "2031-01-02T24:00:00Z",
		"2031-01-02T02:04:05+24:00", "2031-01-02T02:04:05+0100", "12031-01-02T02:04:05Z", "9999-12-31T23:59:59-00:01",
		"0000-01-01T00:00:00+00:01", " 2031-01-02T02:04:05Z", "2031-01-02T02:04:05Z\n",
	} {
		_, ok := parseTime(s)
		assert.False(t, ok, s)
	}
}

func TestActiveTokenLimit(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.AddUser(User{})
	k := a.token(u.ID, "t0")
	for i := 1; i < 97; i++ {
		a.token(u.ID, "t"+strconv.Itoa(i))
	}
	a.AddToken(u.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{DeletedAt: start}})
	a.AddToken(u.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ExpiresAt: start}})
	a.AddToken(u.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: "soon", ExpiresAt: start.Add(time.Minute)}})
	assert.Equal(t, 200, a.send("POST", "/tokens", key(k)).status, "99th")
	assert.Equal(t, 200, a.send("POST", "/tokens", key(k)).status, "100th")
	r := a.send("POST", "/tokens", key(k))
	assertProblem(t, r, 400, "max number of tokens")
	a.Advance(time.Minute)
	assert.Equal(t, 200, a.send("POST", "/tokens", key(k)).status, "one has expired")
	assert.Equal(t, 204, a.send("DELETE", "/tokens/t9", key(k)).status)
	assert.Equal(t, 200, a.send("POST", "/tokens", key(k)).status, "one was revoked")
	a.token(u.ID, "beyond") // AddToken knows no limit
}

func TestGetToken(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.AddUser(User{ID: "u1"})
	a.AddToken(u.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		ID: "T1", Name: "n", Scopes: fastly.Scopes{"purge_all", "purge_select", "new:scope"},
		Services:  []string{"S1"},
		CreatedAt: start.Add(-time.Hour + 5), ExpiresAt: start.Add(time.Hour).In(time.FixedZone("", 3600)),
		LastUsedAt: start, IP: "192.0.2.1", UserAgent: "ua", SudoExpiresAt: start,
	}})
	r := a.send("GET", "/tokens/T1", key(a.Key()))
	require.Equal(t, 200, r.status)
	assert.Equal(t, int64(len(r.body)), r.length)
	assert.Equal(t, map[string]any{
		"id": "T1", "user_id": "u1", "customer_id": a.User().CustomerID, "name": "n",
		"last_used_at": "2030-05-06T07:30:00Z", "created_at": "2030-05-06T06:30:00Z",
		"expires_at": "2030-05-06T08:30:00Z", "sudo_expires_at": "2030-05-06T07:30:00Z",
		"ip": "192.0.2.1", "user_agent": "ua",
		"scope":  "purge_all purge_select new:scope",
		"scopes": []any{"purge_all", "purge_select", "new:scope"}, "services": []any{"S1"}, "service_id": nil,
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

// people is a server with two customers; the names are IDs of users and, with a
// T, of their tokens.
func people(t *testing.T) (a *api, keys map[string]fastly.Secret) {
	t.Helper()
	a = newAPI(t)
	keys = map[string]fastly.Secret{}
	for _, u := range []User{
		{ID: "ann"},
		{ID: "bob"},
		{ID: "super", Superuser: true},
		{ID: "foreign", CustomerID: "other", Superuser: true},
	} {
		keys[u.ID] = a.token(a.AddUser(u).ID, u.ID+"T")
	}
	return a, keys
}

func TestWhoMayReadAndRevoke(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		who, id     string
		get, revoke int
	}{
		{"ann", "annT", 200, 204},
		{"ann", "bobT", 403, 403},
		{"ann", "superT", 403, 403},
		{"ann", "foreignT", 404, 404},
		{"super", "annT", 200, 204},
		{"super", "foreignT", 404, 404},
		{"foreign", "annT", 404, 404},
		{"ann", "unknown", 404, 404},
		{"ann", "goneT", 404, 404},
		{"ann", "expiredT", 200, 204},
	} {
		t.Run(tc.who+" "+tc.id, func(t *testing.T) {
			t.Parallel()
			a, keys := people(t)
			a.AddToken("ann", fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: "goneT", DeletedAt: start}})
			a.AddToken("ann", fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: "expiredT", ExpiresAt: start}})
			r := a.send("GET", "/tokens/"+tc.id, key(keys[tc.who]))
			assert.Equal(t, tc.get, r.status, r.body)
			if tc.get == 404 {
				assert.JSONEq(t, `{"msg":"Record not found","detail":"Cannot load token"}`, r.body)
			}
			r = a.send("DELETE", "/tokens", key(keys[tc.who]), bulk(tc.id, tc.who+"T", tc.id))
			assert.Equal(t, tc.revoke, r.status, r.body)
			assert.Equal(t, tc.revoke == 204, a.revoked(tc.who+"T"), "in bulk all are revoked or none")

			a, keys = people(t)
			a.AddToken("ann", fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: "expiredT", ExpiresAt: start}})
			r = a.send("DELETE", "/tokens/"+tc.id, key(keys[tc.who]))
			assert.Equal(t, tc.revoke, r.status, r.body)
			if tc.revoke == 204 {
				assert.Empty(t, r.body)
				assert.Empty(t, r.header.Get("Content-Type"))
				assert.True(t, a.revoked(tc.id))
				assert.Equal(t, 404, a.send("DELETE", "/tokens/"+tc.id, key(a.Key())).status, "it is gone")
			}
		})
	}
}

func TestRevokedKeyIsRefused(t *testing.T) {
	t.Parallel()
	a, keys := people(t)
	a.Advance(time.Hour)
	assert.Equal(t, 204, a.send("DELETE", "/tokens/self", key(keys["ann"])).status)
	assert.Equal(t, 401, a.send("DELETE", "/tokens/self", key(keys["ann"])).status)
	kept, ok := a.Token("annT")
	require.True(t, ok, "a revoked token is remembered")
	assert.Equal(t, start.Add(time.Hour), kept.DeletedAt)
}

func TestLists(t *testing.T) {
	t.Parallel()
	a, keys := people(t)
	def := a.Tokens()[0].ID
	a.token("ann", "ann2T")
	a.AddToken("ann", fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: "goneT", DeletedAt: start}})
	a.AddToken("ann", fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: "expiredT", ExpiresAt: start}})

	r := a.send("GET", "/tokens", key(keys["ann"]))
	assert.Equal(t, []string{"annT", "ann2T"}, ids(t, r))
	assert.Equal(t, []string{"chunked"}, r.te)
	assert.Empty(t, r.header.Get("Content-Length"))

	path := "/customer/" + a.User().CustomerID + "/tokens"
	assert.Equal(t, []string{def, "annT", "bobT", "superT", "ann2T"}, ids(t, a.send("GET", path, key(keys["super"]))))
	assertProblem(t, a.send("GET", path, key(keys["ann"])), 403, "not authorized")
	assertProblem(t, a.send("GET", path, key(keys["foreign"])), 403, "not authorized")
	assertProblem(t, a.send("GET", "/customer/none/tokens", key(keys["super"])), 403, "not authorized")
	assert.Equal(t, []string{"foreignT"}, ids(t, a.send("GET", "/customer/other/tokens", key(keys["foreign"]))))
}

func TestLongList(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	want := []string{a.Tokens()[0].ID}
	for range 10_000 {
		want = append(want, a.AddToken(a.User().ID, fastly.TokenCreatedResponse{}).ID)
	}
	for range 2 {
		assert.Equal(t, want, ids(t, a.send("GET", "/tokens", key(a.Key()))))
	}
}

func TestEmptyListIsAnArray(t *testing.T) {
	t.Parallel()
	// A user can list only with a token of its own, so the list is never
	// empty; the writer does not rely on it.
	var b writerFunc = func(p []byte) (int, error) {
		assert.Equal(t, "[]", string(p))
		return len(p), nil
	}
	require.NoError(t, writeList(b, []fastly.TokenResponse{}))
}

func TestListStopsWhenTheClientLeft(t *testing.T) {
	t.Parallel()
	calls := 0
	gone := writerFunc(func([]byte) (int, error) {
		calls++
		return 0, http.ErrAbortHandler
	})
	err := writeList(gone, make([]fastly.TokenResponse, 10_000))
	require.ErrorIs(t, err, http.ErrAbortHandler)
	assert.Equal(t, 1, calls)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestExpiry(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	k := a.AddToken(a.User().ID, fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{ID: "T1", ExpiresAt: start.Add(time.Hour)},
	}).AccessToken
	a.Advance(time.Hour - time.Second)
	assert.Equal(t, 200, a.send("GET", "/tokens/self", key(k)).status)
	assert.Contains(t, ids(t, a.send("GET", "/tokens", key(a.Key()))), "T1")
	a.Advance(time.Second)
	assertProblem(t, a.send("GET", "/tokens/self", key(k)), 401, "Provided credentials are missing or invalid")
	assert.NotContains(t, ids(t, a.send("GET", "/tokens", key(a.Key()))), "T1")
	_, ok := a.Token("T1")
	assert.True(t, ok, "an expired token is remembered")
}

func TestBulkRevoke(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.User().ID
	var all []string
	for i := range 500 {
		all = append(all, "t"+strconv.Itoa(i))
		a.token(u, all[i])
	}
	r := a.send("DELETE", "/tokens", key(a.Key()), bulk(append(slices.Clone(all), "not-an-id")...))
	assertProblem(t, r, 404, "Record not found")
	assert.False(t, a.revoked("t0"))
	r = a.send("DELETE", "/tokens", key(a.Key()), bulk(all...))
	assert.Equal(t, 204, r.status)
	assert.Empty(t, r.body)
	for _, id := range all {
		assert.True(t, a.revoked(id))
	}
}

func TestSeeding(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.AddUser(User{})
	assert.Regexp(t, `^[A-Za-z0-9]{22}$`, u.ID)
	assert.Equal(t, a.User().CustomerID, u.CustomerID)
	assert.NotEmpty(t, u.Login)
	assert.NotEmpty(t, u.Password)
	assert.False(t, u.Superuser)
	assert.True(t, a.User().Superuser)

	services := []string{"S1"}
	added := a.AddToken(u.ID, fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{UserID: "x", CustomerID: "y", Services: services},
		AccessToken:   "readable-key",
	})
	services[0] = "changed"
	added.Services[0] = "changed"
	kept, ok := a.Token(added.ID)
	require.True(t, ok)
	assert.Equal(t, []string{"S1"}, kept.Services, "the server keeps its own copy")
	assert.Equal(t, u.ID, kept.UserID)
	assert.Equal(t, u.CustomerID, kept.CustomerID)
	assert.Equal(t, start, kept.CreatedAt)
	assert.Equal(t, fastly.Scopes{fastly.ScopeGlobal}, kept.Scopes)
	assert.Equal(t, 200, a.send("GET", "/tokens/self", key("readable-key")).status)
	assert.Equal(t, []string{a.Tokens()[0].ID, added.ID}, []string{a.Tokens()[0].ID, a.Tokens()[1].ID})
	_, ok = a.Token("unknown")
	assert.False(t, ok)

	id := func(id string) fastly.TokenCreatedResponse {
		return fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: id}}
	}
	for name, f := range map[string]func(){
		"login taken":        func() { a.AddUser(User{Login: u.Login}) },
		"ID taken":           func() { a.AddUser(User{ID: u.ID}) },
		"malformed ID":       func() { a.AddUser(User{ID: "a b"}) },
		"malformed customer": func() { a.AddUser(User{CustomerID: "a/b"}) },
		"secret not base32":  func() { a.AddUser(User{TOTPSecret: "not base32!"}) },
		"unknown user":       func() { a.AddToken("nobody", id("")) },
		"malformed token ID": func() { a.AddToken(u.ID, id("a-b")) },
		"token ID is a path": func() { a.AddToken(u.ID, id("self")) },
		"token ID taken":     func() { a.AddToken(u.ID, id(added.ID)) },
		"access token taken": func() { a.AddToken(u.ID, fastly.TokenCreatedResponse{AccessToken: "readable-key"}) },
	} {
		assert.Panics(t, f, name)
	}
	assert.NotPanics(t, func() { a.User() }, "a panic leaves the server usable")
}
