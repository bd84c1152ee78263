package fastly_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// ids are those of a list of tokens.
func ids(list []fastly.TokenResponse) []string {
	var all []string
	for _, token := range list {
		all = append(all, token.ID)
	}
	return all
}

// addToken adds a token of the scopes to the user and returns it.
func addToken(srv *fastlytest.Server, userID string, scopes ...fastly.Scope) fastly.TokenCreatedResponse {
	return srv.AddToken(userID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Scopes: scopes}})
}

func TestCreateTokenWithEveryParameter(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	user := srv.AddUser(fastlytest.User{Login: "jane+ops@example.com", Password: "p&ss=w%rd é", OTP: "123456"})
	expires := time.Date(2031, 1, 1, 1, 30, 15, 999, time.FixedZone("CET", 3600))
	req := &fastly.CreateTokenRequest{
		Name:      "deploy & purge: 50% é",
		Scopes:    fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect},
		Services:  []string{someService, otherService},
		ExpiresAt: expires,
		Username:  user.Login,
		Password:  fastly.Secret(user.Password),
		OTP:       fastly.Secret(user.OTP),
	}
	given := *req
	created, err := srv.Client(never).Tokens.CreateToken(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, given, *req, "the request is the caller's")

	assert.Equal(t, "deploy & purge: 50% é", created.Name)
	assert.Equal(t, fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect}, created.Scopes)
	assert.Equal(t, []string{someService, otherService}, created.Services)
	assert.Equal(t, time.Date(2031, 1, 1, 0, 30, 15, 0, time.UTC), created.ExpiresAt)
	assert.Equal(t, user.ID, created.UserID)
	assert.Equal(t, user.CustomerID, created.CustomerID)
	assert.Len(t, created.ID, 22)
	assert.Len(t, created.AccessToken.Reveal(), 32)
	assert.WithinDuration(t, time.Now(), created.CreatedAt, time.Minute)

	kept, ok := srv.Token(created.ID)
	require.True(t, ok, "the server has the token")
	assert.Equal(t, created.AccessToken.Reveal(), kept.AccessToken.Reveal())
	assert.Equal(t, created.Services, kept.Services)
	assert.Equal(t, created.Scopes, kept.Scopes)
	assert.Equal(t, created.ExpiresAt, kept.ExpiresAt)

	sent := srv.Requests()
	require.Len(t, sent, 1)
	assert.Equal(t, "expires_at=2031-01-01T00%3A30%3A15Z&name=deploy+%26+purge%3A+50%25+%C3%A9"+
		"&password=p%26ss%3Dw%25rd+%C3%A9&scope=purge_all+purge_select"+
		"&services%5B%5D="+someService+"&services%5B%5D="+otherService+"&username=jane%2Bops%40example.com", string(sent[0].Body))
	assert.Equal(t, []string{"123456"}, sent[0].Header["Fastly-Otp"])
}

func TestLifeOfAToken(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	ctx := t.Context()
	c := srv.Client(never)
	created, err := c.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{})
	require.NoError(t, err)
	assert.Equal(t, fastly.Scopes{fastly.ScopeGlobal}, created.Scopes)
	assert.Empty(t, created.Services)
	assert.Zero(t, created.ExpiresAt)

	own := srv.Client(fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return created.AccessToken, nil }),
		fastly.WithUserAgent("deploy-tool/1.4"), never)
	current, err := own.Tokens.GetTokenCurrent(ctx)
	require.NoError(t, err)
	assert.Equal(t, created.ID, current.ID)
	assert.Equal(t, "127.0.0.1", current.IP)
	assert.Equal(t, "deploy-tool/1.4 "+libraryAgent, current.UserAgent)
	assert.WithinDuration(t, time.Now(), current.LastUsedAt, time.Minute)

	got, err := c.Tokens.GetToken(ctx, created.ID)
	require.NoError(t, err)
	assert.Equal(t, created.ID, got.ID)
	assert.Equal(t, created.UserID, got.UserID)
	assert.Equal(t, created.CreatedAt, got.CreatedAt)

	second, err := c.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{Name: "second"})
	require.NoError(t, err)
	third, err := c.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{Name: "third"})
	require.NoError(t, err)
	first, err := c.Tokens.GetTokenCurrent(ctx)
	require.NoError(t, err)

	list, err := c.Tokens.ListTokensUser(ctx)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{first.ID, created.ID, second.ID, third.ID}, ids(list))

	colleague := srv.AddUser(fastlytest.User{})
	others := addToken(srv, colleague.ID, fastly.ScopeGlobalRead)
	list, err = c.Tokens.ListTokensCustomer(ctx, srv.User().CustomerID)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{first.ID, created.ID, second.ID, third.ID, others.ID}, ids(list))

	require.NoError(t, c.Tokens.BulkRevokeTokens(ctx, []string{second.ID, third.ID}))
	require.NoError(t, c.Tokens.RevokeToken(ctx, others.ID))
	require.NoError(t, own.Tokens.RevokeTokenCurrent(ctx))
	list, err = c.Tokens.ListTokensCustomer(ctx, srv.User().CustomerID)
	require.NoError(t, err)
	assert.Equal(t, []string{first.ID}, ids(list))
	for _, token := range srv.Tokens() {
		assert.Equal(t, token.ID == first.ID, token.DeletedAt.IsZero(), "token %s", token.ID)
	}
	_, err = own.Tokens.GetTokenCurrent(ctx)
	assertMatches(t, err, fastly.ErrUnauthorized, fastly.ErrInvalidCredentials)
}

func TestCreateTokenByNameAndPassword(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	user := srv.AddUser(fastlytest.User{})
	c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithBasicAuth(user.Login, user.Password), never)
	created, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: "by Basic"})
	require.NoError(t, err)
	assert.Equal(t, user.ID, created.UserID)

	created, err = srv.Client(never).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{
		Name: "by form", Username: user.Login, Password: fastly.Secret(user.Password),
	})
	require.NoError(t, err)
	assert.Equal(t, user.ID, created.UserID)
}

// What each call sends, to the byte: verb, path, headers and body.
func TestRequestsOnTheWire(t *testing.T) {
	t.Parallel()
	const form, bulk = "application/x-www-form-urlencoded", "application/vnd.api+json; ext=bulk"
	create := func(req fastly.CreateTokenRequest) func(context.Context, *fastly.Client) error {
		return func(ctx context.Context, c *fastly.Client) error {
			_, err := c.Tokens.CreateToken(ctx, &req)
			return err
		}
	}
	revoke := func(ids ...string) func(context.Context, *fastly.Client) error {
		return func(ctx context.Context, c *fastly.Client) error { return c.Tokens.BulkRevokeTokens(ctx, ids) }
	}
	type want struct {
		verb, uri string
		header    http.Header // beside those of every request
		body      string
	}
	createWant := func(body string) want {
		return want{"POST", "/tokens", http.Header{"Content-Type": {form}}, body}
	}
	bulkWant := func(body string) want {
		return want{"DELETE", "/tokens", http.Header{"Content-Type": {bulk}, "Accept": {bulk}}, body}
	}
	tests := map[string]struct {
		call func(context.Context, *fastly.Client) error
		want want
	}{
		"create: nothing set":      {create(fastly.CreateTokenRequest{}), createWant("")},
		"create: name":             {create(fastly.CreateTokenRequest{Name: "a b&c=d"}), createWant("name=a+b%26c%3Dd")},
		"create: one scope":        {create(fastly.CreateTokenRequest{Scopes: fastly.Scopes{fastly.ScopeGlobalRead}}), createWant("scope=global%3Aread")},
		"create: several scopes":   {create(fastly.CreateTokenRequest{Scopes: fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect}}), createWant("scope=purge_all+purge_select")},
		"create: scope of its own": {create(fastly.CreateTokenRequest{Scopes: fastly.Scopes{"brand:new"}}), createWant("scope=brand%3Anew")},
		"create: empty lists":      {create(fastly.CreateTokenRequest{Scopes: fastly.Scopes{}, Services: []string{}}), createWant("")},
		"create: one service":      {create(fastly.CreateTokenRequest{Services: []string{"A"}}), createWant("services%5B%5D=A")},
		"create: several services": {create(fastly.CreateTokenRequest{Services: []string{"B", "A"}}), createWant("services%5B%5D=B&services%5B%5D=A")},
		"create: expiry": {
			create(fastly.CreateTokenRequest{ExpiresAt: time.Date(2030, 1, 2, 2, 4, 5, 0, time.UTC)}),
			createWant("expires_at=2030-01-02T02%3A04%3A05Z"),
		},
		"create: expiry in another zone": {
			create(fastly.CreateTokenRequest{ExpiresAt: time.Date(2030, 1, 1, 21, 4, 5, 678, time.FixedZone("EST", -5*3600))}),
			createWant("expires_at=2030-01-02T02%3A04%3A05Z"),
		},
		"create: zero time in another zone": {
			create(fastly.CreateTokenRequest{ExpiresAt: time.Time{}.In(time.FixedZone("EST", -5*3600))}),
			createWant(""),
		},
		"create: user and password": {
			create(fastly.CreateTokenRequest{Username: "jane@example.com", Password: "correct horse"}),
			createWant("password=correct+horse&username=jane%40example.com"),
		},
		"create: one-time password": {
			create(fastly.CreateTokenRequest{Name: "x", OTP: "123456"}),
			want{"POST", "/tokens", http.Header{"Content-Type": {form}, "Fastly-Otp": {"123456"}}, "name=x"},
		},
		"get":            {tokensMethods[2].call, want{"GET", "/tokens/" + someID, nil, ""}},
		"get current":    {tokensMethods[3].call, want{"GET", "/tokens/self", nil, ""}},
		"list customer":  {tokensMethods[4].call, want{"GET", "/customer/" + someCustomer + "/tokens", nil, ""}},
		"list user":      {tokensMethods[5].call, want{"GET", "/tokens", nil, ""}},
		"revoke":         {tokensMethods[6].call, want{"DELETE", "/tokens/" + someID, nil, ""}},
		"revoke current": {tokensMethods[7].call, want{"DELETE", "/tokens/self", nil, ""}},
		"bulk: one":      {revoke(someID), bulkWant(`{"data":[{"type":"token","id":"` + someID + `"}]}`)},
		"bulk: several":  {revoke(otherID, someID), bulkWant(`{"data":[{"type":"token","id":"` + otherID + `"},{"type":"token","id":"` + someID + `"}]}`)},
		"bulk: each once": {
			revoke(someID, otherID, someID, someID, otherID),
			bulkWant(`{"data":[{"type":"token","id":"` + someID + `"},{"type":"token","id":"` + otherID + `"}]}`),
		},
		"bulk: letter case counts": {revoke("abc", "ABC"), bulkWant(`{"data":[{"type":"token","id":"abc"},{"type":"token","id":"ABC"}]}`)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
				i := slices.IndexFunc(tokensMethods, func(m tokensMethod) bool { return m.verb == r.Method && m.path == r.URL.Path })
				w.WriteHeader(tokensMethods[i].status)
				_, _ = w.Write([]byte(tokensMethods[i].answer))
			})
			require.NoError(t, test.call(t.Context(), srv.client(t)))
			got := srv.only(t)
			assert.Equal(t, test.want.verb, got.verb)
			assert.Equal(t, test.want.uri, got.uri)
			assert.Equal(t, strings.TrimPrefix(srv.URL, "http://"), got.host)
			assert.Equal(t, test.want.body, got.body)
			assert.Equal(t, int64(len(test.want.body)), got.length)
			assert.False(t, got.chunked, "the length is known")

			header := http.Header{"Accept": {"application/json"}, "User-Agent": {libraryAgent}, "Fastly-Key": {someKey}}
			for name, values := range test.want.header {
				header[name] = values
			}
			// Of the transport below, not of the API.
			got.header.Del("Accept-Encoding")
			if test.want.body == "" && got.verb != http.MethodPost {
				assert.NotContains(t, got.header, "Content-Length", "there is no body")
			}
			got.header.Del("Content-Length")
			assert.Equal(t, header, got.header)
		})
	}
}

func TestBulkRevokeKeepsTheCallersList(t *testing.T) {
	t.Parallel()
	list := []string{otherID, someID, otherID}
	require.NoError(t, newStub(t, http.StatusNoContent, nil, "").client(t).Tokens.BulkRevokeTokens(t.Context(), list))
	assert.Equal(t, []string{otherID, someID, otherID}, list)
}

func TestIDsOfEveryAllowedLengthAreSent(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a", "Z9", strings.Repeat("x", 64), "selfish", "itself"} {
		srv := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			answer := tokenAnswer
			if strings.HasPrefix(r.URL.Path, "/customer") {
				answer = "[]"
			}
			_, _ = w.Write([]byte(answer))
		})
		c := srv.client(t)
		_, err := c.Tokens.GetToken(t.Context(), id)
		require.NoError(t, err)
		_, err = c.Tokens.ListTokensCustomer(t.Context(), id)
		require.NoError(t, err)
		require.NoError(t, c.Tokens.RevokeToken(t.Context(), id))
		require.NoError(t, c.Tokens.BulkRevokeTokens(t.Context(), []string{id}))
		assert.Len(t, srv.seen(), 4)
	}
}

func TestRefusedArgumentsAreNotSent(t *testing.T) {
	t.Parallel()
	type refusal struct {
		call   func(context.Context, *fastly.TokensService) error
		says   []string
		hidden string // the value, which may be a secret
	}
	tests := map[string]refusal{
		"nil request": {func(ctx context.Context, s *fastly.TokensService) error {
			_, err := s.CreateToken(ctx, nil)
			return err
		}, []string{"CreateTokenRequest is nil", "CreateTokenRequest{} asks for a token with the API's defaults"}, ""},
		"nil list": {func(ctx context.Context, s *fastly.TokensService) error {
			return s.BulkRevokeTokens(ctx, nil)
		}, []string{"list of token IDs is empty"}, ""},
		"empty list": {func(ctx context.Context, s *fastly.TokensService) error {
			return s.BulkRevokeTokens(ctx, []string{})
		}, []string{"list of token IDs is empty"}, ""},
	}

	// Every ID that can't be one, wherever an ID goes.
	takers := map[string]struct {
		what    string // that the error is about
		number  string // where in a list
		current string // what to use for one's own token; empty: "self" means nothing
		call    func(context.Context, *fastly.TokensService, string) error
	}{
		"GetToken": {"the token ID", "", "GetTokenCurrent", func(ctx context.Context, s *fastly.TokensService, id string) error {
			_, err := s.GetToken(ctx, id)
			return err
		}},
		"RevokeToken": {"the token ID", "", "RevokeTokenCurrent", func(ctx context.Context, s *fastly.TokensService, id string) error {
			return s.RevokeToken(ctx, id)
		}},
		"BulkRevokeTokens": {"the token ID", "(number 2 of the list)", "RevokeTokenCurrent", func(ctx context.Context, s *fastly.TokensService, id string) error {
			return s.BulkRevokeTokens(ctx, []string{someID, id, otherID})
		}},
		"ListTokensCustomer": {"the customer ID", "", "", func(ctx context.Context, s *fastly.TokensService, id string) error {
			_, err := s.ListTokensCustomer(ctx, id)
			return err
		}},
		"Services": {"Services[1]", "", "", func(ctx context.Context, s *fastly.TokensService, id string) error {
			_, err := s.CreateToken(ctx, &fastly.CreateTokenRequest{Services: []string{someService, id}})
			return err
		}},
	}
	badIDs := map[string]struct{ id, says string }{
		"empty":        {"", "is empty"},
		"too long":     {strings.Repeat("a", 65), "has 65 characters, and none has more than 64"},
		"far too long": {strings.Repeat("a", 1<<20), "has 1048576 characters"},
		"access token": {"Jd8sKf02mPq-47xLwZ_nB5vTcYh1RgAe", "is it an access token"},
		"padded":       {someID + " ", "only letters and digits"},
		"line break":   {someID + "\r\n", "only letters and digits"},
		"slash":        {"tokens/5Yo3XX", "only letters and digits"},
		"dots":         {"../customer", "only letters and digits"},
		"query":        {"5Yo3XX?x=1", "only letters and digits"},
		"escape":       {"%73elf", "only letters and digits"},
		"NUL":          {"5Yo3XX\x00", "only letters and digits"},
		"accent":       {"5Yo3XXé", "only letters and digits"},
		"other digits": {"٣٤٥٦", "only letters and digits"},
		"full width":   {"ｓｅｌｆ", "only letters and digits"},
		"not UTF-8":    {"5Yo3\xff\xfe", "only letters and digits"},
	}
	for name, taker := range takers {
		for kind, bad := range badIDs {
			tests[name+" "+kind] = refusal{func(ctx context.Context, s *fastly.TokensService) error { return taker.call(ctx, s, bad.id) },
				[]string{taker.what, bad.says, taker.number}, bad.id}
		}
		if taker.current == "" {
			continue
		}
		for _, self := range []string{"self", "SELF", "Self", "sELF"} {
			tests[name+" "+self] = refusal{func(ctx context.Context, s *fastly.TokensService) error { return taker.call(ctx, s, self) },
				[]string{taker.what, "the client's own token: use " + taker.current, taker.number}, ""}
		}
	}

	// The other parameters of a create.
	for name, bad := range map[string]struct {
		req    fastly.CreateTokenRequest
		says   string
		hidden string
	}{
		"empty scope":             {fastly.CreateTokenRequest{Scopes: fastly.Scopes{fastly.ScopeGlobal, ""}}, "Scopes[1] is not one scope, such as ScopePurgeAll", ""},
		"two scopes in one":       {fastly.CreateTokenRequest{Scopes: fastly.Scopes{"hunter22 purge_select"}}, "Scopes[0] is not one scope", "hunter22"},
		"scope with line break":   {fastly.CreateTokenRequest{Scopes: fastly.Scopes{"hunter22\n"}}, "Scopes[0] is not one scope", "hunter22"},
		"scope beyond ASCII":      {fastly.CreateTokenRequest{Scopes: fastly.Scopes{"glöbal"}}, "Scopes[0] is not one scope", "glöbal"},
		"expiry beyond year 9999": {fastly.CreateTokenRequest{ExpiresAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "the zero time means never", ""},
		"year 9999, but not in UTC": {
			fastly.CreateTokenRequest{ExpiresAt: time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("EST", -5*3600))}, "in the year 10000", "",
		},
		"OTP with line break": {fastly.CreateTokenRequest{OTP: "314159\n"}, "the OTP holds a character that an HTTP header can't carry", "314159"},
		"OTP with space":      {fastly.CreateTokenRequest{OTP: "314 159"}, "the OTP", "314"},
		"OTP beyond ASCII":    {fastly.CreateTokenRequest{OTP: "３１４１５９"}, "the OTP", "３１４"},
	} {
		tests["CreateToken "+name] = refusal{func(ctx context.Context, s *fastly.TokensService) error {
			_, err := s.CreateToken(ctx, &bad.req)
			return err
		}, []string{bad.says}, bad.hidden}
	}
	for _, m := range tokensMethods {
		tests[m.name+" nil context"] = refusal{func(_ context.Context, s *fastly.TokensService) error {
			return m.call(nil, &fastly.Client{Tokens: s})
		}, []string{"the context is nil"}, ""}
	}

	srv := newAPI(t)
	c := srv.Client(never)
	t.Run("each", func(t *testing.T) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				err := test.call(t.Context(), c.Tokens)
				assertRefused(t, err, test.says...)
				if test.hidden != "" {
					assert.NotContains(t, err.Error(), test.hidden)
				}
				assert.Less(t, len(err.Error()), 250)
			})
		}
	})
	assert.Empty(t, srv.Requests(), "nothing is sent")
	assert.Len(t, srv.Tokens(), 1, "nothing is created")
}

// The errors that the API documents for each method, as it comes to give them.
func TestDocumentedErrorsOfEachMethod(t *testing.T) {
	t.Parallel()
	// world is an API with somebody to ask and somebody to ask about.
	type world struct {
		*fastlytest.Server
		id       string // of a token that the client may not touch
		customer string
	}
	as := func(key func(world) fastly.Secret) func(world) fastly.Option {
		return func(w world) fastly.Option { return fastly.WithAPIKey(key(w).Reveal()) }
	}
	owner := as(func(w world) fastly.Secret { return w.Key() })
	nobody := as(func(world) fastly.Secret { return someKey })
	expired := as(func(w world) fastly.Secret {
		return w.AddToken(w.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ExpiresAt: time.Now().Add(-time.Hour)}}).AccessToken
	})
	purger := as(func(w world) fastly.Secret { return addToken(w.Server, w.User().ID, fastly.ScopePurgeAll).AccessToken })
	reader := as(func(w world) fastly.Secret {
		return addToken(w.Server, w.User().ID, fastly.ScopeGlobalRead).AccessToken
	})
	plain := as(func(w world) fastly.Secret {
		return addToken(w.Server, w.AddUser(fastlytest.User{}).ID, fastly.ScopeGlobal).AccessToken
	})
	unconfirmed := as(func(w world) fastly.Secret {
		return addToken(w.Server, w.AddUser(fastlytest.User{SudoRequired: true}).ID, fastly.ScopeGlobal).AccessToken
	})
	guarded := as(func(w world) fastly.Secret {
		return addToken(w.Server, w.AddUser(fastlytest.User{OTP: "123456"}).ID, fastly.ScopeGlobal).AccessToken
	})

	type ask func(context.Context, world, *fastly.TokensService) error
	create := func(req fastly.CreateTokenRequest) ask {
		return func(ctx context.Context, _ world, s *fastly.TokensService) error {
			_, err := s.CreateToken(ctx, &req)
			return err
		}
	}
	get := func(ctx context.Context, w world, s *fastly.TokensService) error {
		_, err := s.GetToken(ctx, w.id)
		return err
	}
	getMissing := func(ctx context.Context, _ world, s *fastly.TokensService) error {
		_, err := s.GetToken(ctx, someID)
		return err
	}
	getCurrent := func(ctx context.Context, _ world, s *fastly.TokensService) error {
		_, err := s.GetTokenCurrent(ctx)
		return err
	}
	listUser := func(ctx context.Context, _ world, s *fastly.TokensService) error {
		_, err := s.ListTokensUser(ctx)
		return err
	}
	listCustomer := func(ctx context.Context, w world, s *fastly.TokensService) error {
		_, err := s.ListTokensCustomer(ctx, w.customer)
		return err
	}
	revoke := func(ctx context.Context, w world, s *fastly.TokensService) error { return s.RevokeToken(ctx, w.id) }
	revokeMissing := func(ctx context.Context, _ world, s *fastly.TokensService) error { return s.RevokeToken(ctx, someID) }
	revokeCurrent := func(ctx context.Context, _ world, s *fastly.TokensService) error { return s.RevokeTokenCurrent(ctx) }
	bulk := func(ctx context.Context, w world, s *fastly.TokensService) error {
		return s.BulkRevokeTokens(ctx, []string{w.id})
	}
	bulkMissing := func(ctx context.Context, w world, s *fastly.TokensService) error {
		return s.BulkRevokeTokens(ctx, []string{w.id, someID})
	}

	unauthorized := []error{fastly.ErrUnauthorized, fastly.ErrInvalidCredentials}
	forbidden := []error{fastly.ErrForbidden}
	sudo := []error{fastly.ErrForbidden, fastly.ErrSudoRequired}
	tests := []struct {
		name   string
		who    func(world) fastly.Option
		ask    ask
		status int
		is     []error
		says   string
	}{
		{"CreateToken: unknown key", nobody, create(fastly.CreateTokenRequest{}), 401, unauthorized, sayCredentials},
		{"CreateToken: read-only key", reader, create(fastly.CreateTokenRequest{}), 403, forbidden, sayForbidden},
		{"CreateToken: unknown scope", owner, create(fastly.CreateTokenRequest{Scopes: fastly.Scopes{"brand:new"}}), 400, []error{fastly.ErrBadRequest, fastly.ErrInvalidScope}, sayScope},
		{"CreateToken: expiry gone by", owner, create(fastly.CreateTokenRequest{ExpiresAt: time.Now().Add(-time.Hour)}), 422, []error{fastly.ErrUnprocessable}, "expires_at"},
		{"CreateToken: wrong password", owner, create(fastly.CreateTokenRequest{Username: "jane@example.com", Password: "wrong"}), 400, []error{fastly.ErrBadRequest, fastly.ErrInvalidCredentials}, "(invalid_grant)"},
		{"CreateToken: half a login", owner, create(fastly.CreateTokenRequest{Username: "jane@example.com"}), 400, []error{fastly.ErrBadRequest}, "(invalid_request)"},
		{"CreateToken: no one-time password", guarded, create(fastly.CreateTokenRequest{}), 400, []error{fastly.ErrBadRequest, fastly.ErrOTPRequired}, sayOTP},
		{"CreateToken: wrong one-time password", guarded, create(fastly.CreateTokenRequest{OTP: "654321"}), 400, []error{fastly.ErrBadRequest, fastly.ErrOTPRequired}, sayOTP},
		{"CreateToken: password wanted again", unconfirmed, create(fastly.CreateTokenRequest{}), 403, sudo, "; the account wants its password again: send Username and Password in the CreateTokenRequest"},
		{"GetToken: unknown key", nobody, get, 401, unauthorized, sayCredentials},
		{"GetToken: expired key", expired, get, 401, unauthorized, sayCredentials},
		{"GetToken: not one's own", plain, get, 403, forbidden, sayForbidden},
		{"GetToken: no such token", owner, getMissing, 404, []error{fastly.ErrNotFound}, "404 Record not found: Cannot load token"},
		{"GetTokenCurrent: unknown key", nobody, getCurrent, 401, unauthorized, sayCredentials},
		{"GetTokenCurrent: expired key", expired, getCurrent, 401, unauthorized, sayCredentials},
		{"ListTokensUser: unknown key", nobody, listUser, 401, unauthorized, sayCredentials},
		{"ListTokensUser: key for purging", purger, listUser, 403, forbidden, sayForbidden},
		{"ListTokensCustomer: unknown key", nobody, listCustomer, 401, unauthorized, sayCredentials},
		{"ListTokensCustomer: no superuser", plain, listCustomer, 403, forbidden, sayForbidden},
		{"RevokeToken: expired key", expired, revoke, 401, unauthorized, sayCredentials},
		{"RevokeToken: not one's own", plain, revoke, 403, forbidden, sayForbidden},
		{"RevokeToken: password wanted", unconfirmed, revoke, 403, sudo, saySudo},
		{"RevokeToken: no such token", owner, revokeMissing, 404, []error{fastly.ErrNotFound}, "404 Record not found: Cannot load token"},
		{"RevokeTokenCurrent: expired key", expired, revokeCurrent, 401, unauthorized, sayCredentials},
		{"RevokeTokenCurrent: read-only key", reader, revokeCurrent, 403, forbidden, sayForbidden},
		{"BulkRevokeTokens: unknown key", nobody, bulk, 401, unauthorized, sayCredentials},
		{"BulkRevokeTokens: not one's own", plain, bulk, 403, forbidden, sayForbidden},
		{"BulkRevokeTokens: no such token", owner, bulkMissing, 404, []error{fastly.ErrNotFound}, "404 Record not found: Cannot load token"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			srv := newAPI(t)
			srv.AddUser(fastlytest.User{Login: "jane@example.com"})
			other := srv.AddUser(fastlytest.User{})
			w := world{srv, addToken(srv, other.ID, fastly.ScopeGlobal).ID, srv.User().CustomerID}
			c := mustClient(t, fastly.WithBaseURL(srv.URL), test.who(w), never)
			before := srv.Tokens()

			err := test.ask(t.Context(), w, c.Tokens)
			got := answerOf(t, err)
			assert.Equal(t, test.status, got.StatusCode)
			assertMatches(t, err, test.is...)
			require.ErrorContains(t, err, test.says)
			assertOneLine(t, err)
			sent := srv.Requests()
			require.Len(t, sent, 1)
			assert.Equal(t, sent[0].Method, got.Method)
			assert.Equal(t, sent[0].Path, got.Path)
			assert.Equal(t, test.status, sent[0].Status)
			assert.Len(t, srv.Tokens(), len(before))
			for _, token := range srv.Tokens() {
				assert.Zero(t, token.DeletedAt, "nothing is revoked")
			}
		})
	}
}

func TestLockedAccountCannotCreate(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	user := srv.AddUser(fastlytest.User{Locked: true})
	c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithBasicAuth(user.Login, user.Password), never)
	_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	assertMatches(t, err, fastly.ErrBadRequest, fastly.ErrAccountLocked)
	assert.ErrorContains(t, err, sayLocked)
}

func TestAdviceOfAnErrorHelps(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	user := srv.AddUser(fastlytest.User{SudoRequired: true, OTP: "123456"})
	key := addToken(srv, user.ID, fastly.ScopeGlobal).AccessToken
	c := srv.Client(fastly.WithAPIKey(key.Reveal()), never)
	req := &fastly.CreateTokenRequest{}
	_, err := c.Tokens.CreateToken(t.Context(), req)
	require.ErrorIs(t, err, fastly.ErrOTPRequired)

	req.OTP = "123456"
	_, err = c.Tokens.CreateToken(t.Context(), req)
	require.ErrorIs(t, err, fastly.ErrSudoRequired)

	req.Username, req.Password = user.Login, fastly.Secret(user.Password)
	_, err = c.Tokens.CreateToken(t.Context(), req)
	require.NoError(t, err)
}

func TestExhaustedRateLimitIsReported(t *testing.T) {
	t.Parallel()
	srv := newAPI(t, fastlytest.WithRateLimit(1))
	c := srv.Client(never)
	_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	require.NoError(t, err)
	_, err = c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	assertMatches(t, err, fastly.ErrRateLimited)
	got := answerOf(t, err)
	assert.Zero(t, got.RateLimit.Remaining)
	assert.WithinDuration(t, time.Now(), got.RateLimit.Reset, time.Hour)
	require.ErrorContains(t, err, "; the rate limit resets at "+got.RateLimit.Reset.UTC().Format(time.RFC3339))
	rl, ok := c.RateLimit()
	assert.True(t, ok)
	assert.Equal(t, got.RateLimit, rl)
}

// A transport below that adds to what it is given must not add to later calls.
func TestHeadersDoNotLeakFromCallToCall(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"own client", "own transport"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			var seen []http.Header
			meddling := roundTripFunc(func(r *http.Request) (*http.Response, error) {
				seen = append(seen, r.Header.Clone())
				for name := range r.Header {
					r.Header.Add(name, "again")
				}
				r.Header.Set("X-Added", "yes")
				r.URL = &url.URL{Path: "/elsewhere"}
				status, answer := http.StatusOK, tokenAnswer
				if r.Method == http.MethodDelete {
					status, answer = http.StatusNoContent, ""
				}
				return answering(status, answer)(r)
			})
			option := fastly.WithTransport(meddling)
			if way == "own client" {
				option = fastly.WithHTTPClient(&http.Client{Transport: meddling})
			}
			opts := []fastly.Option{option, never}
			if way == "own client" {
				opts = append(opts, fastly.WithAPIKey(someKey))
			}
			c := mustClient(t, opts...)
			for range 2 {
				_, err := c.Tokens.GetTokenCurrent(t.Context())
				require.NoError(t, err)
				require.NoError(t, c.Tokens.BulkRevokeTokens(t.Context(), []string{someID}))
			}
			require.Len(t, seen, 4)
			assert.Equal(t, seen[0], seen[2])
			assert.Equal(t, seen[1], seen[3])
			assert.Equal(t, []string{"application/json"}, seen[2]["Accept"])
		})
	}
}
