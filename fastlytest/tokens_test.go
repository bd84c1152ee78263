package fastlytest

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/fastly-tokens/fastly"
)

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

func TestListsHaveTheActiveTokensOfAUserOrCustomer(t *testing.T) {
	t.Parallel()
	a, keys := people(t)
	def := a.Tokens()[0].ID
	a.token("ann", "ann2T")
	a.AddToken("ann", fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: "goneT", DeletedAt: start}})
	a.AddToken("ann", fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: "expiredT", ExpiresAt: start}})

	r := a.send("GET", "/tokens", key(keys["ann"]))
	assert.ElementsMatch(t, []string{"annT", "ann2T"}, ids(t, r))

	path := "/customer/" + a.User().CustomerID + "/tokens"
	want := []string{def, "annT", "bobT", "superT", "ann2T"}
	assert.ElementsMatch(t, want, ids(t, a.send("GET", path, key(keys["super"]))))
	assertProblem(t, a.send("GET", path, key(keys["ann"])), 403, "not authorized")
	assertProblem(t, a.send("GET", path, key(keys["foreign"])), 403, "not authorized")
	assertProblem(t, a.send("GET", "/customer/none/tokens", key(keys["super"])), 403, "not authorized")
	assert.Equal(t, []string{"foreignT"}, ids(t, a.send("GET", "/customer/other/tokens", key(keys["foreign"]))))
}

func TestListsAreNeverInOrderOfCreation(t *testing.T) {
	t.Parallel()
	for n := 2; n < 12; n++ {
		a := newAPI(t)
		u := a.AddUser(User{ID: "u", CustomerID: "c", Superuser: true})
		var created []string
		var k fastly.Secret
		for i := range n {
			created = append(created, fmt.Sprintf("t%d", i))
			k = a.token(u.ID, created[i])
		}
		for _, path := range []string{"/tokens", "/customer/c/tokens"} {
			first := ids(t, a.send("GET", path, key(k)))
			assert.ElementsMatch(t, created, first)
			assert.NotEqual(t, created, first)
			assert.Equal(t, first, ids(t, a.send("GET", path, key(k))), "the same tokens come in the same order")
		}
		assert.Equal(t, created, tokenIDs(a.Tokens()[1:]), "Tokens keeps the order of creation")
	}
}

func tokenIDs(tokens []fastly.TokenCreatedResponse) (ids []string) {
	for _, t := range tokens {
		ids = append(ids, t.ID)
	}
	return ids
}

func TestListsAreNotPaginated(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	want := []string{a.Tokens()[0].ID}
	for range 10_000 {
		want = append(want, a.AddToken(a.User().ID, fastly.TokenCreatedResponse{}).ID)
	}
	got := ids(t, a.send("GET", "/tokens?page=2&per_page=10", key(a.Key())))
	slices.Sort(want)
	slices.Sort(got)
	assert.Equal(t, want, got)
}

func TestEmptyListIsAnArray(t *testing.T) {
	t.Parallel()
	// A user can list only with a token of its own, so a list is never empty;
	// the encoding does not rely on it.
	assert.Equal(t, "[]", string(mustMarshal(listJSON([]fastly.TokenResponse{}))))
}

func TestBulkRevokesAllOrNone(t *testing.T) {
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

// automation adds an automation token of the default customer.
func (a *api) automation(id string) fastly.Secret { return a.token("", id) }

func TestAutomationTokenBelongsToNoUser(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo())
	k := a.automation("auto")
	own := decode[map[string]any](t, a.send("GET", "/tokens/self", key(k)))
	assert.NotContains(t, own, "user_id")
	assert.Equal(t, a.User().CustomerID, own["customer_id"])
	for _, name := range []string{"expires_at", "sudo_expires_at", "service_id"} {
		assert.Empty(t, own[name])
		assert.IsType(t, "", own[name], "%s is no null", name)
	}
	assert.Contains(t, own, "role")
	assert.Contains(t, own, "tls_access")
	kept, _ := a.Token("auto")
	assert.Empty(t, kept.UserID)

	assert.NotContains(t, ids(t, a.send("GET", "/tokens", key(a.Key()))), "auto")
	customer := "/customer/" + a.User().CustomerID + "/tokens"
	assert.Contains(t, ids(t, a.send("GET", customer, key(a.Key()))), "auto")
	assert.Equal(t, 200, a.send("GET", "/tokens/auto", key(k)).status)

	a.automation("another")
	for _, r := range []reply{
		a.send("POST", "/tokens", key(k), form("name", "n")),
		a.send("POST", "/tokens", key(k), loggedIn(a.User())),
		a.send("POST", "/sudo", key(k), form("password", a.User().Password)),
		a.send("GET", "/tokens", key(k)),
		a.send("GET", customer, key(k)),
		a.send("GET", "/current_user", key(k)),
		a.send("GET", "/tokens/another", key(k)),
		a.send("DELETE", "/tokens/another", key(k)),
		a.send("DELETE", "/tokens/"+a.Tokens()[0].ID, key(k)),
	} {
		assertProblem(t, r, 403, "not authorized")
	}
	assert.Len(t, a.Tokens(), 3)
	assert.Equal(t, 204, a.send("DELETE", "/tokens/self", key(k)).status)
	assertProblem(t, a.send("GET", "/tokens/self", key(k)), 401, "missing or invalid")
}

func TestTokenCanBeLimitedToNoService(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	k := a.AddToken("", fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{LimitServices: true}}).AccessToken
	own := decode[map[string]any](t, a.send("GET", "/tokens/self", key(k)))
	assert.Equal(t, true, own["limit_services"])
	assert.Equal(t, []any{}, own["services"])
	assert.NotContains(t, decode[map[string]any](t, a.send("GET", "/tokens/self", key(a.Key()))), "limit_services")
}

func TestAutomationTokenIsRevokedBySuperusersOfItsCustomer(t *testing.T) {
	t.Parallel()
	a, keys := people(t)
	a.automation("auto")
	a.automation("other")
	theirs := a.AddToken("", fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{UserID: "ann", CustomerID: "other"}})
	assert.Equal(t, "other", theirs.CustomerID)
	assert.Empty(t, theirs.UserID)
	assertProblem(t, a.send("DELETE", "/tokens/auto", key(keys["ann"])), 403, "not authorized")
	assertProblem(t, a.send("DELETE", "/tokens/auto", key(keys["foreign"])), 404, "Record not found")
	assertProblem(t, a.send("DELETE", "/tokens/"+theirs.ID, key(keys["super"])), 404, "Record not found")
	assert.Equal(t, 204, a.send("DELETE", "/tokens/auto", key(keys["super"])).status)
	assert.Equal(t, 204, a.send("DELETE", "/tokens", key(keys["super"]), bulk("other")).status)
	assert.Equal(t, 204, a.send("DELETE", "/tokens/"+theirs.ID, key(keys["foreign"])).status)
}
