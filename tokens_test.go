package fastly_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// addToken adds a token of the scopes to the user.
func addToken(srv *fastlytest.Server, userID string, scopes ...fastly.Scope) fastly.TokenCreatedResponse {
	return srv.AddToken(userID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Scopes: scopes}})
}

func ids(list []fastly.TokenResponse) []string {
	var all []string
	for _, token := range list {
		all = append(all, token.ID)
	}
	return all
}

func TestCreateTokenTakesEachYearOfRFC3339(t *testing.T) {
	t.Parallel()
	stub := newStub(t, http.StatusOK, nil, createdJSON)
	for _, year := range []int{0, 9999} {
		at := time.Date(year, 1, 2, 3, 4, 5, 0, time.UTC)
		_, err := stub.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{ExpiresAt: at})
		assert.NoError(t, err, year)
	}
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
	created, err := srv.Client(noRetry).Tokens.CreateToken(t.Context(), req)
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

func TestTokenIsCreatedReadListedAndRevoked(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	ctx := t.Context()
	c := srv.Client(noRetry)
	created, err := c.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{})
	require.NoError(t, err)
	assert.Equal(t, fastly.Scopes{fastly.ScopeGlobal}, created.Scopes)
	assert.Empty(t, created.Services)
	assert.Zero(t, created.ExpiresAt)

	own := srv.Client(fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return created.AccessToken, nil }),
		fastly.WithUserAgent("deploy-tool/1.4"), noRetry)
	current, err := own.Tokens.GetTokenCurrent(ctx)
	require.NoError(t, err)
	assert.Equal(t, created.ID, current.ID)
	assert.Equal(t, "127.0.0.1", current.IP)
	assert.Equal(t, "deploy-tool/1.4 "+libraryProduct, current.UserAgent)
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

func TestCreateTokenByUserNameAndPassword(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	user := srv.AddUser(fastlytest.User{})
	c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithBasicAuth(user.Login, user.Password), noRetry)
	created, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: "by Basic"})
	require.NoError(t, err)
	assert.Equal(t, user.ID, created.UserID)

	created, err = srv.Client(noRetry).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{
		Name: "by form", Username: user.Login, Password: fastly.Secret(user.Password),
	})
	require.NoError(t, err)
	assert.Equal(t, user.ID, created.UserID, "the user who logs in, not that of the key")
}

func TestIDsOfEachAllowedLengthAreSent(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a", "Z9", strings.Repeat("x", 64), "selfish", "itself"} {
		srv := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			body := tokenJSON
			if strings.HasPrefix(r.URL.Path, "/customer") {
				body = "[]"
			}
			_, _ = w.Write([]byte(body))
		})
		c := srv.client(t)
		_, err := c.Tokens.GetToken(t.Context(), id)
		require.NoError(t, err)
		_, err = c.Tokens.ListTokensCustomer(t.Context(), id)
		require.NoError(t, err)
		require.NoError(t, c.Tokens.RevokeToken(t.Context(), id))
		require.NoError(t, c.Tokens.BulkRevokeTokens(t.Context(), []string{id}))
		assert.Len(t, srv.requests(), 4)
	}
}

func TestInvalidArgumentsAreNotSent(t *testing.T) {
	t.Parallel()
	type invalid struct {
		call   func(context.Context, *fastly.TokensService) error
		says   []string
		hidden string // the value, which may be a secret
	}
	tests := map[string]invalid{
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

	// Each argument that is an ID, with each value that can't be one.
	takers := map[string]struct {
		what    string // that the error is about
		number  string // where in a list
		current string // what to use for the client's own token; empty: "self" means nothing
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
		"too long":     {strings.Repeat("a", 65), "has 65 characters; at most 64 are allowed"},
		"far too long": {strings.Repeat("a", 1<<20), "has 1048576 characters"},
		"access token": {"Jd8sKf02mPq-47xLwZ_nB5vTcYh1RgAe", "has the length of an access token: use the ID"},
		"like a key":   {"3Kq8vNf2Xb7TzR5mLw9YcHd4GsJp6QaE", "has the length of an access token: use the ID"},
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
			tests[name+" "+kind] = invalid{func(ctx context.Context, s *fastly.TokensService) error { return taker.call(ctx, s, bad.id) },
				[]string{taker.what, bad.says, taker.number}, bad.id}
		}
		if taker.current == "" {
			continue
		}
		for _, self := range []string{"self", "SELF", "Self", "sELF"} {
			tests[name+" "+self] = invalid{func(ctx context.Context, s *fastly.TokensService) error { return taker.call(ctx, s, self) },
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
		"scope with DEL":          {fastly.CreateTokenRequest{Scopes: fastly.Scopes{"hunter22\x7f"}}, "Scopes[0] is not one scope", "hunter22"},
		"scope beyond ASCII":      {fastly.CreateTokenRequest{Scopes: fastly.Scopes{"glöbal"}}, "Scopes[0] is not one scope", "glöbal"},
		"expiry before year 0":    {fastly.CreateTokenRequest{ExpiresAt: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}, "in the year -1", ""},
		"negative lifetime":       {fastly.CreateTokenRequest{Lifetime: -1}, "the Lifetime is negative", ""},
		"lifetime and expiry":     {fastly.CreateTokenRequest{Lifetime: 1, ExpiresAt: testTime}, "Lifetime and ExpiresAt exclude each other", ""},
		"service ID with slash":   {fastly.CreateTokenRequest{Services: []string{"hunter22/"}}, "a service ID may hold only letters and digits", "hunter22"},
		"expiry beyond year 9999": {fastly.CreateTokenRequest{ExpiresAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "the zero time means never", ""},
		"year 9999, but not in UTC": {
			fastly.CreateTokenRequest{ExpiresAt: time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("EST", -5*3600))}, "in the year 10000", "",
		},
		"Username alone":            {fastly.CreateTokenRequest{Username: "hunter22"}, "the password is empty; a create needs both Username and Password, or neither", "hunter22"},
		"Password alone":            {fastly.CreateTokenRequest{Password: "hunter22"}, "the user name is empty; a create needs both Username and Password, or neither", "hunter22"},
		"user name with line break": {fastly.CreateTokenRequest{Username: "hunter22\n", Password: "x"}, "the user name holds a control character", "hunter22"},
		"password with line break":  {fastly.CreateTokenRequest{Username: "x", Password: "hunter22\r\n"}, "the password holds a control character", "hunter22"},
		"OTP with line break":       {fastly.CreateTokenRequest{OTP: "314159\n"}, "the OTP holds a control character (a line break at its end?)", "314159"},
		"hidden OTP":                {fastly.CreateTokenRequest{OTP: "[REDACTED]"}, "the OTP is [REDACTED], as a hidden secret prints: reveal the secret", ""},
		"hidden password":           {fastly.CreateTokenRequest{Username: "x", Password: "[REDACTED]"}, "the password is [REDACTED], as a hidden secret prints", "both Username"},
		"password after a mark":     {fastly.CreateTokenRequest{Username: "x", Password: "\ufeffhunter22"}, "the password begins with a byte order mark", "hunter22"},
		"OTP with space":            {fastly.CreateTokenRequest{OTP: "314 159"}, "the OTP", "314"},
		"OTP beyond ASCII":          {fastly.CreateTokenRequest{OTP: "３１４１５９"}, "the OTP", "３１４"},
	} {
		tests["CreateToken "+name] = invalid{func(ctx context.Context, s *fastly.TokensService) error {
			_, err := s.CreateToken(ctx, &bad.req)
			return err
		}, []string{bad.says}, bad.hidden}
	}
	for _, m := range operations {
		tests[m.name+" nil context"] = invalid{func(_ context.Context, s *fastly.TokensService) error {
			var none context.Context
			return m.do(none, &fastly.Client{Tokens: s})
		}, []string{"the context is nil"}, ""}
	}

	srv := newAPI(t)
	c := srv.Client(noRetry)
	t.Run("each", func(t *testing.T) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				err := test.call(t.Context(), c.Tokens)
				assertInvalid(t, err, test.says...)
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

// The errors that the API documents for each operation, and what causes them.
func TestDocumentedErrorsOfEachOperation(t *testing.T) {
	t.Parallel()
	// world is an API with a client and the token of somebody else.
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
	expired := func(w world) fastly.Option {
		w.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: http.StatusUnauthorized, Body: `{"msg":"Token 3Riw expired at 2019-05-01T09:00:00Z"}`})
		return owner(w)
	}
	purger := as(func(w world) fastly.Secret { return addToken(w.Server, w.User().ID, fastly.ScopePurgeAll).AccessToken })
	anonymous := func(world) fastly.Option { return fastly.WithTransport(http.DefaultTransport) }
	reader := as(func(w world) fastly.Secret {
		return addToken(w.Server, w.User().ID, fastly.ScopeGlobalRead).AccessToken
	})
	plain := as(func(w world) fastly.Secret {
		return addToken(w.Server, w.AddUser(fastlytest.User{}).ID, fastly.ScopeGlobal).AccessToken
	})
	unconfirmed := func(w world) fastly.Option {
		w.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: http.StatusForbidden, Body: sudoJSON})
		return owner(w)
	}
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
	outdated := []error{fastly.ErrUnauthorized, fastly.ErrTokenExpired}
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
		{"CreateToken: unknown key", nobody, create(fastly.CreateTokenRequest{}), 401, unauthorized, hintCredentials},
		{"CreateToken: read-only key", reader, create(fastly.CreateTokenRequest{}), 403, forbidden, hintForbidden},
		{"CreateToken: unknown scope", owner, create(fastly.CreateTokenRequest{Scopes: fastly.Scopes{"brand:new"}}), 400, []error{fastly.ErrBadRequest, fastly.ErrInvalidScope}, hintScope},
		{"CreateToken: expiry gone by", owner, create(fastly.CreateTokenRequest{ExpiresAt: time.Now().Add(-time.Hour)}), 422, []error{fastly.ErrUnprocessable}, "expires_at"},
		{"CreateToken: wrong password", owner, create(fastly.CreateTokenRequest{Username: "jane@example.com", Password: "wrong"}), 400, []error{fastly.ErrBadRequest, fastly.ErrInvalidCredentials}, "(invalid_grant)"},
		{"CreateToken: no login", anonymous, create(fastly.CreateTokenRequest{}), 400, []error{fastly.ErrBadRequest}, "(invalid_request)"},
		{"CreateToken: no one-time password", guarded, create(fastly.CreateTokenRequest{}), 400, []error{fastly.ErrBadRequest, fastly.ErrOTPRequired}, hintOTP},
		{"CreateToken: wrong one-time password", guarded, create(fastly.CreateTokenRequest{OTP: "654321"}), 400, []error{fastly.ErrBadRequest, fastly.ErrOTPRequired}, hintOTP},
		{"CreateToken: sudo wanted", unconfirmed, create(fastly.CreateTokenRequest{}), 403, sudo, hintSudoCreate},
		{"GetToken: unknown key", nobody, get, 401, unauthorized, hintCredentials},
		{"GetToken: expired key", expired, get, 401, outdated, hintExpired},
		{"GetToken: somebody else's", plain, get, 403, forbidden, hintForbidden},
		{"GetToken: no such token", owner, getMissing, 404, []error{fastly.ErrNotFound}, "404 Record not found: Cannot load token"},
		{"GetTokenCurrent: unknown key", nobody, getCurrent, 401, unauthorized, hintCredentials},
		{"GetTokenCurrent: expired key", expired, getCurrent, 401, outdated, hintExpired},
		{"ListTokensUser: unknown key", nobody, listUser, 401, unauthorized, hintCredentials},
		{"ListTokensUser: key for purging", purger, listUser, 403, forbidden, hintForbidden},
		{"ListTokensCustomer: unknown key", nobody, listCustomer, 401, unauthorized, hintCredentials},
		{"ListTokensCustomer: no superuser", plain, listCustomer, 403, forbidden, hintForbidden},
		{"RevokeToken: expired key", expired, revoke, 401, outdated, hintExpired},
		{"RevokeToken: somebody else's", plain, revoke, 403, forbidden, hintForbidden},
		{"RevokeToken: sudo wanted", unconfirmed, revoke, 403, sudo, hintSudo},
		{"RevokeToken: no such token", owner, revokeMissing, 404, []error{fastly.ErrNotFound}, "404 Record not found: Cannot load token"},
		{"RevokeTokenCurrent: expired key", expired, revokeCurrent, 401, outdated, hintExpired},
		{"RevokeTokenCurrent: read-only key", reader, revokeCurrent, 403, forbidden, hintForbidden},
		{"BulkRevokeTokens: unknown key", nobody, bulk, 401, unauthorized, hintCredentials},
		{"BulkRevokeTokens: somebody else's", plain, bulk, 403, forbidden, hintForbidden},
		{"BulkRevokeTokens: no such token", owner, bulkMissing, 404, []error{fastly.ErrNotFound}, "404 Record not found: Cannot load token" + hintMissing},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			srv := newAPI(t)
			srv.AddUser(fastlytest.User{Login: "jane@example.com"})
			other := srv.AddUser(fastlytest.User{})
			w := world{srv, addToken(srv, other.ID, fastly.ScopeGlobal).ID, srv.User().CustomerID}
			c := mustClient(t, fastly.WithBaseURL(srv.URL), test.who(w), noRetry)
			before := srv.Tokens()

			err := test.ask(t.Context(), w, c.Tokens)
			got := responseError(t, err)
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

// With another key, "current" would be another token.
func TestRevokeCurrentUsesOneKeyForAllAttempts(t *testing.T) {
	t.Parallel()
	for _, fault := range []fastlytest.Fault{
		{Kind: fastlytest.CutAfter},
		{Kind: fastlytest.Status, Status: http.StatusServiceUnavailable, Times: 2},
		{Kind: fastlytest.Status, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"0"}}, Body: "slow down", Times: 3},
	} {
		t.Run(fmt.Sprint(fault.Kind, fault.Status), func(t *testing.T) {
			t.Parallel()
			srv := newAPI(t)
			user := srv.User().ID
			keys := []fastly.TokenCreatedResponse{addToken(srv, user, fastly.ScopeGlobal), addToken(srv, user, fastly.ScopeGlobal)}
			var calls atomic.Int32
			c := mustClient(t, fastly.WithBaseURL(srv.URL), quickRetry,
				fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) {
					return keys[min(calls.Add(1), 2)-1].AccessToken, nil // rotated after the first attempt
				}))
			fault.Method = http.MethodDelete
			srv.Inject(fault)
			require.NoError(t, c.Tokens.RevokeTokenCurrent(t.Context()))
			first, _ := srv.Token(keys[0].ID)
			second, _ := srv.Token(keys[1].ID)
			assert.False(t, first.DeletedAt.IsZero(), "the current token is revoked")
			assert.True(t, second.DeletedAt.IsZero(), "its successor is not")
			assert.EqualValues(t, 1, calls.Load(), "calls of the key function")
		})
	}
}

// A login authenticates itself: other credentials with it can make the API
// reject it.
func TestLoginSendsNoOtherCredentials(t *testing.T) {
	t.Parallel()
	below := &http.Transport{}
	t.Cleanup(below.CloseIdleConnections)
	for name, auth := range map[string]fastly.Option{
		"key": fastly.WithAPIKey(someKey),
		"key function": fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) {
			assert.Fail(t, "the key function was called")
			return someKey, nil
		}),
		"password":      fastly.WithBasicAuth("jane", "hunter22"),
		"nothing":       fastly.WithoutAuthentication(),
		"own transport": fastly.WithTransport(below),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newAPI(t)
			c := mustClient(t, auth, fastly.WithBaseURL(srv.URL), quickRetry)
			srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"0"}}, Body: "slow down"})
			created, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{
				Username: srv.User().Login, Password: fastly.Secret(srv.User().Password),
			})
			require.NoError(t, err)
			assert.Equal(t, srv.User().ID, created.UserID)
			assert.NotEmpty(t, created.AccessToken.Reveal())
			require.Len(t, srv.Requests(), 2)
			for _, r := range srv.Requests() {
				for _, name := range []string{"Fastly-Key", "Authorization", "Cookie"} {
					assert.NotContains(t, r.Header, name)
				}
			}
		})
	}
}

func TestClientWithoutAuthenticationCanOnlyLogIn(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusOK, nil, createdJSON)
	c := mustClient(t, fastly.WithoutAuthentication(), fastly.WithBaseURL(srv.URL), noRetry)
	for _, op := range operations {
		assertInvalid(t, op.do(t.Context(), c), "the client has no credentials", "use WithAPIKey, or create a token with Username and Password")
	}
	assert.Empty(t, srv.requests())
	created, err := c.Tokens.CreateToken(t.Context(), canaryLoginRequest())
	require.NoError(t, err)
	assert.Equal(t, someKey, created.AccessToken.Reveal())
	assert.Len(t, srv.requests(), 1)
}
