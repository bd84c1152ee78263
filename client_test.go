package fastly_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// logBuffer is a log that several goroutines write to.
type logBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// The surface that programs compile against: a change here breaks them.
var (
	_ string = fastly.DefaultBaseURL

	_ func(...fastly.Option) (*fastly.Client, error)                          = fastly.NewClient
	_ func(...fastly.Option) (*fastly.Client, error)                          = fastly.NewClientFromEnv
	_ func(string) fastly.Option                                              = fastly.WithAPIKey
	_ func(func(context.Context) (fastly.Secret, error)) fastly.Option        = fastly.WithAPIKeyFunc
	_ func(username, password string) fastly.Option                           = fastly.WithBasicAuth
	_ func() fastly.Option                                                    = fastly.WithoutAuthentication
	_ func(string) func(context.Context) (fastly.Secret, error)               = fastly.KeyFile
	_ func(*fastly.Client)                                                    = (*fastly.Client).CloseIdleConnections
	_ func(*fastly.Client, ...fastly.Option) (*fastly.Client, error)          = (*fastly.Client).With
	_ func(func(http.RoundTripper) http.RoundTripper) fastly.Option           = fastly.WithMiddleware
	_ func(fastly.TokenResponse, time.Time) bool                              = fastly.TokenResponse.Expired
	_ func(fastly.TokenResponse, fastly.Scope, string) bool                   = fastly.TokenResponse.Allows
	_ func(string) fastly.Scopes                                              = fastly.ParseScopes
	_ func(http.RoundTripper) fastly.Option                                   = fastly.WithTransport
	_ func(*http.Client) fastly.Option                                        = fastly.WithHTTPClient
	_ func(string) fastly.Option                                              = fastly.WithBaseURL
	_ func(string) fastly.Option                                              = fastly.WithUserAgent
	_ func(fastly.RetryPolicy) fastly.Option                                  = fastly.WithRetryPolicy
	_ func(*slog.Logger) fastly.Option                                        = fastly.WithLogger
	_ func() fastly.Option                                                    = fastly.WithInsecurePlainHTTP
	_ func(*fastly.Client) (fastly.RateLimit, bool)                           = (*fastly.Client).RateLimit
	_ func(*fastly.TokensService, context.Context, []string) error            = (*fastly.TokensService).BulkRevokeTokens
	_ func(*fastly.TokensService, context.Context, string) error              = (*fastly.TokensService).RevokeToken
	_ func(*fastly.TokensService, context.Context) error                      = (*fastly.TokensService).RevokeTokenCurrent
	_ func(fastly.Scopes) string                                              = fastly.Scopes.String
	_ func(fastly.Scopes, fastly.Scope) bool                                  = fastly.Scopes.Has
	_ func(fastly.Secret) string                                              = fastly.Secret.Reveal
	_ func(*fastly.APIKeyTransport, *http.Request) (*http.Response, error)    = (*fastly.APIKeyTransport).RoundTrip
	_ func(*fastly.BasicAuthTransport, *http.Request) (*http.Response, error) = (*fastly.BasicAuthTransport).RoundTrip

	_ func(*fastly.TokensService, context.Context, *fastly.CreateTokenRequest) (*fastly.TokenCreatedResponse, error) = (*fastly.TokensService).CreateToken
	_ func(*fastly.TokensService, context.Context, string) (*fastly.TokenResponse, error)                            = (*fastly.TokensService).GetToken
	_ func(*fastly.TokensService, context.Context) (*fastly.TokenResponse, error)                                    = (*fastly.TokensService).GetTokenCurrent
	_ func(*fastly.TokensService, context.Context, string) ([]fastly.TokenResponse, error)                           = (*fastly.TokensService).ListTokensCustomer
	_ func(*fastly.TokensService, context.Context) ([]fastly.TokenResponse, error)                                   = (*fastly.TokensService).ListTokensUser

	_ http.RoundTripper = (*fastly.APIKeyTransport)(nil)
	_ http.RoundTripper = (*fastly.BasicAuthTransport)(nil)
	_ error             = (*fastly.GenericTokenError)(nil)

	_ = fastly.Client{Tokens: (*fastly.TokensService)(nil)}
	_ = fastly.RateLimit{Remaining: int(0), Reset: time.Time{}}
	_ = fastly.RetryPolicy{MaxAttempts: int(0), MinBackoff: time.Duration(0), MaxBackoff: time.Duration(0), MaxWait: time.Duration(0)}
	_ = fastly.APIKeyTransport{
		Key: fastly.Secret(""), KeyFunc: (func(context.Context) (fastly.Secret, error))(nil),
		Host: string(""), Base: http.RoundTripper(nil),
	}
	_ = fastly.BasicAuthTransport{
		Username: string(""), Password: fastly.Secret(""), Host: string(""), Base: http.RoundTripper(nil),
	}
	_ = fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{
			ID: string(""), Name: string(""), UserID: string(""), CustomerID: string(""),
			Scopes: fastly.Scopes([]fastly.Scope(nil)), Services: []string(nil),
			CreatedAt: time.Time{}, UpdatedAt: time.Time{}, DeletedAt: time.Time{},
			ExpiresAt: time.Time{}, LastUsedAt: time.Time{}, SudoExpiresAt: time.Time{},
			IP: string(""), UserAgent: string(""),
		},
		AccessToken: fastly.Secret(""),
	}
	_ = fastly.CreateTokenRequest{
		Name: string(""), Scopes: fastly.Scopes(nil), Services: []string(nil), ExpiresAt: time.Time{},
		Username: string(""), Password: fastly.Secret(""), OTP: fastly.Secret(""),
		OTPFunc: (func(context.Context) (fastly.Secret, error))(nil),
	}
	_ = fastly.GenericTokenError{
		StatusCode: int(0), Msg: string(""), Detail: string(""), Code: string(""),
		Method: string(""), Path: string(""), RateLimit: fastly.RateLimit{}, RetryAfter: time.Duration(0),
		Header: http.Header(nil), Body: string(""),
	}
	_ = []fastly.Scope{fastly.ScopeGlobal, fastly.ScopePurgeSelect, fastly.ScopePurgeAll, fastly.ScopeGlobalRead}
)

func TestSurfaceIsStable(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "https://api.fastly.com", fastly.DefaultBaseURL)

	var methods []string
	service := reflect.TypeFor[*fastly.TokensService]()
	for i := range service.NumMethod() {
		methods = append(methods, service.Method(i).Name)
	}
	var wanted []string
	for _, op := range operations {
		wanted = append(wanted, op.name)
	}
	assert.Equal(t, wanted, methods, "one method for each endpoint")

	for _, model := range []reflect.Type{
		reflect.TypeFor[fastly.TokenCreatedResponse](), reflect.TypeFor[fastly.TokenResponse](), reflect.TypeFor[fastly.CreateTokenRequest](),
	} {
		for _, field := range reflect.VisibleFields(model) {
			assert.NotEqual(t, reflect.Pointer, field.Type.Kind(), "%s.%s holds a pointer", model, field.Name)
		}
	}
}

// No zero value panics.
func TestZeroClientSendsNothing(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		for name, c := range map[string]*fastly.Client{
			"client": new(fastly.Client), "service": {Tokens: new(fastly.TokensService)},
		} {
			assertInvalid(t, op.do(t.Context(), c), "belongs to no client: make one with NewClient")
			_, ok := c.RateLimit()
			assert.False(t, ok, name)
			c.CloseIdleConnections()
		}
	}
}

// mustWith is [fastly.Client.With].
func mustWith(t testing.TB, parent *fastly.Client, opts ...fastly.Option) *fastly.Client {
	t.Helper()
	c, err := parent.With(opts...)
	require.NoError(t, err)
	return c
}

func TestWithKeepsSettingsAndConnections(t *testing.T) {
	t.Parallel()
	var keys, agents []string
	srv := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
		keys, agents = append(keys, r.Header.Get("Fastly-Key")), append(agents, r.UserAgent())
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	parent := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithAPIKey("parent"), fastly.WithUserAgent("tool/1"), noRetry)
	skipWaits(parent)
	for _, c := range []*fastly.Client{
		parent, mustWith(t, parent), mustWith(t, parent, fastly.WithAPIKey("child")),
		mustWith(t, parent, fastly.WithHTTPClient(&http.Client{Timeout: time.Hour})),
		mustWith(t, parent, fastly.WithUserAgent("other/2"), quickRetry), parent,
	} {
		_, err := c.Tokens.GetTokenCurrent(t.Context())
		require.ErrorIs(t, err, fastly.ErrServer)
	}
	assert.Equal(t, []string{"parent", "parent", "child", "parent", "parent", "parent", "parent", "parent", "parent"}, keys)
	for i, agent := range agents {
		want := "tool/1 "
		if i >= 4 && i < 8 { // with the retries of its policy
			want = "other/2 "
		}
		assert.Contains(t, agent, want, "request %d", i)
	}
	assert.EqualValues(t, 1, srv.conns.Load(), "connections")
}

func TestWithReplacesCredentials(t *testing.T) {
	t.Parallel()
	ways := map[string]struct {
		option fastly.Option
		header string
		value  string
	}{
		"key":          {fastly.WithAPIKey("one"), "Fastly-Key", "one"},
		"another key":  {fastly.WithAPIKey("two"), "Fastly-Key", "two"},
		"key function": {fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return "three", nil }), "Fastly-Key", "three"},
		"Basic":        {fastly.WithBasicAuth("a", "b"), "Authorization", "Basic YTpi"},
		"nothing":      {fastly.WithoutAuthentication(), "", ""},
	}
	for from, parent := range ways {
		for to, child := range ways {
			srv := newStub(t, http.StatusOK, nil, createdJSON)
			c := mustWith(t, mustClient(t, fastly.WithBaseURL(srv.URL), parent.option, noRetry), child.option)
			_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
			if child.header == "" {
				assertInvalid(t, err, "the client has no credentials")
				continue
			}
			require.NoError(t, err, "%s from %s", to, from)
			got := srv.request(t).header
			for _, header := range []string{"Fastly-Key", "Authorization"} {
				want := ""
				if header == child.header {
					want = child.value
				}
				assert.Equal(t, want, got.Get(header), "%s from %s: %s", to, from, header)
			}
		}
	}
}

func TestWithATransportSendsThroughIt(t *testing.T) {
	t.Parallel()
	parent := mustClient(t, fastly.WithAPIKey(someKey), noRetry)
	for range 2 { // a transport can be replaced by another one
		var header http.Header
		parent = mustWith(t, parent, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
			header = r.Header.Clone()
			return respond(http.StatusOK, tokenJSON)(r)
		})))
		_, err := mustWith(t, parent).Tokens.GetTokenCurrent(t.Context())
		require.NoError(t, err)
		require.NotNil(t, header)
		assert.Empty(t, header["Fastly-Key"], "the credentials of the parent are gone")
	}
}

func TestWithRejects(t *testing.T) {
	t.Parallel()
	byKey := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL("https://one.example"))
	byTransport := mustClient(t, fastly.WithTransport(respond(http.StatusOK, tokenJSON)))
	function := fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return someKey, nil })
	const owned = "the client's transport authenticates, and would do so beside "
	for name, test := range map[string]struct {
		parent *fastly.Client
		opts   []fastly.Option
		says   string
	}{
		"two ways at once":       {byKey, []fastly.Option{fastly.WithAPIKey("a"), fastly.WithBasicAuth("a", "b")}, "WithAPIKey and WithBasicAuth are two ways of authentication"},
		"key beside transport":   {byTransport, []fastly.Option{fastly.WithAPIKey("a")}, owned + "WithAPIKey: make another client"},
		"func beside transport":  {byTransport, []fastly.Option{function}, owned + "WithAPIKeyFunc"},
		"Basic beside transport": {byTransport, []fastly.Option{fastly.WithBasicAuth("a", "b")}, owned + "WithBasicAuth"},
		"login beside transport": {byTransport, []fastly.Option{fastly.WithoutAuthentication()}, owned + "WithoutAuthentication"},
		"other base URL":         {byKey, []fastly.Option{fastly.WithBaseURL("https://two.example")}, "another base URL needs credentials of its own"},
		"other path":             {byKey, []fastly.Option{fastly.WithBaseURL("https://one.example/path")}, "another base URL needs credentials of its own"},
		"other base, transport":  {byTransport, []fastly.Option{fastly.WithBaseURL("https://two.example")}, "another base URL needs credentials of its own"},
		"nil option":             {byKey, []fastly.Option{nil}, "an option is nil"},
		"bad option":             {byKey, []fastly.Option{fastly.WithAPIKey("")}, "the API key is empty"},
		"plain http":             {byKey, []fastly.Option{fastly.WithBaseURL("http://two.example"), fastly.WithAPIKey("a")}, "the base URL is plain http"},
		"zero client":            {new(fastly.Client), nil, "make it with NewClient"},
		"nil client":             {nil, nil, "make it with NewClient"},
	} {
		c, err := test.parent.With(test.opts...)
		assert.Nil(t, c, name)
		assertInvalid(t, err, test.says)
	}
	mustWith(t, byKey, fastly.WithBaseURL("https://ONE.example/"))
	mustWith(t, byKey, fastly.WithBaseURL("https://two.example"), fastly.WithAPIKey("a"))
	mustWith(t, byKey, function)
}

func TestWithSharesTheRateLimitOfABaseURL(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusNoContent, http.Header{"Fastly-Ratelimit-Remaining": {"7"}}, "")
	parent := srv.client(t)
	same := mustWith(t, parent, fastly.WithAPIKey("child"))
	other := mustWith(t, parent, fastly.WithAPIKey("child"), fastly.WithBaseURL(srv.URL+"/other"))
	require.NoError(t, same.Tokens.RevokeToken(t.Context(), someID))
	for c, want := range map[*fastly.Client]bool{parent: true, same: true, other: false} {
		rl, ok := c.RateLimit()
		assert.Equal(t, want, ok)
		assert.Equal(t, want, rl.Remaining == 7)
	}
}

func TestRateLimitIsThatOfTheLastResponseWithOne(t *testing.T) {
	t.Parallel()
	header := http.Header{}
	status := http.StatusNoContent
	srv := newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
	})
	c := srv.client(t)
	limited := func(remaining, reset string) http.Header {
		h := http.Header{}
		h.Set("Fastly-RateLimit-Remaining", remaining)
		h.Set("Fastly-RateLimit-Reset", reset)
		return h
	}
	rl, ok := c.RateLimit()
	assert.False(t, ok, "no response came yet")
	assert.Zero(t, rl)

	reset := time.Unix(1610625600, 0)
	// One after the other: each response builds on those before it.
	for _, step := range []struct {
		name   string
		status int
		header http.Header
		want   fastly.RateLimit
		ok     bool
	}{
		{"none", http.StatusNoContent, nil, fastly.RateLimit{}, false},
		{"unreadable", http.StatusNoContent, limited("many", "1610625600"), fastly.RateLimit{}, false},
		{"first", http.StatusNoContent, limited("955", "1610625600"), fastly.RateLimit{Remaining: 955, Reset: reset}, true},
		{"kept", http.StatusNoContent, nil, fastly.RateLimit{Remaining: 955, Reset: reset}, true},
		{"of an error", http.StatusTooManyRequests, limited("0", "1610629200"), fastly.RateLimit{Remaining: 0, Reset: reset.Add(time.Hour)}, true},
		{"unreadable reset", http.StatusNoContent, limited("17", "soon"), fastly.RateLimit{Remaining: 17}, true},
	} {
		header, status = step.header, step.status
		err := c.Tokens.RevokeToken(t.Context(), someID)
		if status < 300 {
			require.NoError(t, err, step.name)
		} else {
			require.Error(t, err, step.name)
			assert.Equal(t, step.want, responseError(t, err).RateLimit, step.name)
		}
		rl, ok := c.RateLimit()
		assert.Equal(t, step.ok, ok, step.name)
		assert.Equal(t, step.want, rl, step.name)
	}
}

func TestRateLimitCountsDown(t *testing.T) {
	t.Parallel()
	srv := newAPI(t, fastlytest.WithClock(func() time.Time { return testTime }))
	c := srv.Client(noRetry)
	_, err := c.Tokens.ListTokensUser(t.Context())
	require.NoError(t, err)
	_, ok := c.RateLimit()
	assert.False(t, ok, "reads do not count")

	var remaining []int
	for range 2 {
		_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
		require.NoError(t, err)
		rl, ok := c.RateLimit()
		require.True(t, ok)
		assert.True(t, rl.Reset.Equal(testTime.Add(30*time.Minute)), "resets at %s", rl.Reset)
		remaining = append(remaining, rl.Remaining)
	}
	assert.Equal(t, []int{999, 998}, remaining)
}

func TestLoggerRecordsEachAttempt(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusNotFound, nil, `{"msg":"Record not found"}`)
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if slices.Contains([]string{slog.TimeKey, "duration"}, a.Key) {
				a.Value = slog.StringValue("some")
			}
			return a
		},
	}))
	require.Error(t, srv.client(t, fastly.WithLogger(logger)).Tokens.RevokeToken(t.Context(), someID))
	assert.Equal(t, `time=some level=DEBUG msg="fastly: attempt" method=DELETE path=/tokens/`+someID+
		" status=404 outcome=\"client error\" duration=some attempt=1 wait=0s\n", out.String())

	out.Reset()
	srv = newStub(t, http.StatusTooManyRequests, http.Header{"Retry-After": {"3600"}}, "")
	require.Error(t, srv.client(t, fastly.WithLogger(logger)).Tokens.RevokeToken(t.Context(), someID))
	assert.Contains(t, out.String(), "attempt=1 wait=0s\n", "a wait that is too long is none")

	out.Reset()
	quiet := slog.New(slog.NewTextHandler(&out, nil))
	require.Error(t, srv.client(t, fastly.WithLogger(quiet)).Tokens.RevokeToken(t.Context(), someID))
	assert.Empty(t, out.String(), "attempts are for debug level")
}

func TestContextOfARequestEndsWithItsAttempt(t *testing.T) {
	t.Parallel()
	var sent context.Context
	rt := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		sent = r.Context()
		return respond(http.StatusOK, tokenJSON)(r)
	})
	c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithHTTPClient(&http.Client{Transport: rt}))
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.ErrorIs(t, sent.Err(), context.Canceled)
}

func TestEach2xxIsSuccess(t *testing.T) {
	t.Parallel()
	for _, status := range []int{199, 200, 299, 300} {
		rt := respond(status, tokenJSON)
		c := mustClient(t, fastly.WithAPIKey(someKey), noRetry, fastly.WithHTTPClient(&http.Client{Transport: rt}))
		_, err := c.Tokens.GetTokenCurrent(t.Context())
		assert.Equal(t, status/100 == 2, err == nil, status)
	}
}

// panickyHandler panics where told to.
type panickyHandler struct {
	slog.Handler
	enabled bool
}

func (h panickyHandler) Enabled(context.Context, slog.Level) bool {
	if !h.enabled {
		panic("the log is full")
	}
	return true
}

func (panickyHandler) Handle(context.Context, slog.Record) error { panic("the log is full") }

func TestLogHandlerThatPanicsLosesNothing(t *testing.T) {
	t.Parallel()
	for _, enabled := range []bool{false, true} {
		srv := newStub(t, http.StatusOK, nil, createdJSON)
		c := srv.client(t, fastly.WithLogger(slog.New(panickyHandler{slog.DiscardHandler, enabled})))
		created, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
		require.NoError(t, err)
		assert.Equal(t, someKey, created.AccessToken.Reveal())
	}
}

func TestLogNamesTheOutcome(t *testing.T) {
	t.Parallel()
	for outcome, fault := range map[string]fastlytest.Fault{
		"done":         {Kind: fastlytest.Delay},
		"not sent":     {},
		"no response":  {Kind: fastlytest.CutAfter},
		"server error": {Kind: fastlytest.Status, Status: http.StatusBadGateway},
		"truncated":    {Kind: fastlytest.CutMiddle},
		"rate limited": {Kind: fastlytest.Status, Status: http.StatusTooManyRequests},
		"client error": {Kind: fastlytest.Status, Status: http.StatusNotFound},
		"ambiguous":    {Kind: fastlytest.Garbage},
		"permanent":    {Kind: fastlytest.Redirect, Location: "https://example.com"},
	} {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			var out logBuffer
			tr := new(http.Transport)
			if outcome == "not sent" {
				tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errConnRefused }
			}
			srv := newAPI(t)
			c := srv.Client(noRetry, fastly.WithHTTPClient(&http.Client{Transport: tr}),
				fastly.WithLogger(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))))
			if fault.Kind != "" {
				srv.Inject(fault)
			}
			_, err := c.Tokens.ListTokensUser(t.Context())
			assert.Equal(t, outcome == "done", err == nil, "%v", err)
			var record struct {
				Outcome string
				Attempt int
			}
			require.NoError(t, json.Unmarshal([]byte(out.String()), &record))
			assert.Equal(t, outcome, record.Outcome)
			assert.Equal(t, 1, record.Attempt)
		})
	}
}

// All operations meet each kind of failure, with canaries in all that is sent
// and received.
func TestLogHoldsNoSecretAndNoHeaderOrBody(t *testing.T) {
	t.Parallel()
	const mark = "Marked-7Gh2"
	for _, fault := range []fastlytest.Fault{
		{Kind: fastlytest.Delay},
		{Kind: fastlytest.CutBefore, Times: -1}, {Kind: fastlytest.CutAfter}, {Kind: fastlytest.CutMiddle},
		{Kind: fastlytest.Status, Status: 503, Times: 2, Body: mark + canaryKey, Header: http.Header{"X-Mark": {mark}}},
		{Kind: fastlytest.Status, Status: 429, Body: mark + canaryKey, Header: http.Header{"Retry-After": {"1"}}},
		{Kind: fastlytest.Status, Status: 400, Body: mark + canaryKey},
		{Kind: fastlytest.Redirect, Location: "https://" + mark + ".example/" + canaryKey, Body: mark},
		{Kind: fastlytest.Garbage, Body: `{"id":"` + someID + `","name":"` + mark + `","access_token":"` + canaryAccess + `"} ` + mark},
	} {
		t.Run(fmt.Sprint(fault.Kind, fault.Status), func(t *testing.T) {
			t.Parallel()
			srv := newAPI(t)
			user := srv.AddUser(fastlytest.User{Login: canaryLogin, Password: canaryPassword, OTP: canaryOTP, CustomerID: someCustomer, Superuser: true})
			srv.AddToken(user.ID, fastly.TokenCreatedResponse{AccessToken: canaryKey})
			var text, lines logBuffer
			var attempts int
			create := func(req *fastly.CreateTokenRequest) func(context.Context, *fastly.Client, string) error {
				req.Name = mark
				return func(ctx context.Context, c *fastly.Client, _ string) error {
					created, err := c.Tokens.CreateToken(ctx, req)
					assertNoSecretIn(t, "%+v", fmt.Sprintf("%+v", created))
					if req.Username != "" {
						return nil // the key is not sent, so it is no secret in the response
					}
					return err
				}
			}
			calls := []func(context.Context, *fastly.Client, string) error{create(canaryRequest()), create(canaryLoginRequest())}
			for _, op := range operations {
				if op.name != "CreateToken" && op.name != "RevokeTokenCurrent" { // the others need the key
					calls = append(calls, op.call)
				}
			}
			for _, call := range calls {
				for _, out := range []slog.Handler{
					slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}),
					slog.NewJSONHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}),
				} {
					victim := srv.AddToken(user.ID, fastly.TokenCreatedResponse{})
					c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithAPIKey(canaryKey), fastly.WithUserAgent(mark), fastly.WithLogger(slog.New(out)))
					skipWaits(c)
					srv.ResetRequests()
					srv.Inject(fault)
					assertNoSecret(t, call(t.Context(), c, victim.ID))
					if _, json := out.(*slog.JSONHandler); json {
						attempts += len(srv.Requests())
					}
					srv.ClearFaults()
				}
			}
			for name, log := range map[string]string{"text": text.String(), "JSON": lines.String()} {
				require.NotEmpty(t, log)
				assertNoSecretIn(t, name+" log", log)
				assert.NotContains(t, log, mark)
			}
			records := strings.Split(strings.TrimSpace(lines.String()), "\n")
			if fault.Kind != fastlytest.CutBefore && fault.Kind != fastlytest.CutAfter {
				assert.Len(t, records, attempts, "one record for each attempt")
			}
			for _, line := range records {
				var record map[string]any
				require.NoError(t, json.Unmarshal([]byte(line), &record))
				var names []string
				for name := range record {
					names = append(names, name)
				}
				assert.ElementsMatch(t, []string{"time", "level", "msg", "method", "path", "status", "outcome", "duration", "attempt", "wait"}, names)
				assert.Equal(t, "DEBUG", record["level"])
			}
		})
	}
}

// All requests have to be there before one gets its response: a lock around them
// would prevent that.
func TestRequestsRunInParallel(t *testing.T) {
	t.Parallel()
	const n = 32
	for name, option := range map[string]fastly.Option{
		"key":      fastly.WithAPIKey(someKey),
		"function": fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return someKey, nil }),
		"password": fastly.WithBasicAuth("alice", "secret"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var arrived atomic.Int32
			all := make(chan struct{})
			srv := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
				if arrived.Add(1) == n {
					close(all)
				}
				select {
				case <-all:
					w.Header().Set("Fastly-RateLimit-Remaining", "7")
					respondByTurns(w, r, 0)
				case <-time.After(20 * time.Second):
					w.WriteHeader(http.StatusTeapot)
				}
			})
			c := mustClient(t, noRetry, fastly.WithBaseURL(srv.URL), option)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					op := operations[i%len(operations)]
					assert.NoError(t, op.do(t.Context(), c), op.name)
				})
			}
			wg.Wait()
			limit, ok := c.RateLimit()
			assert.True(t, ok)
			assert.Equal(t, 7, limit.Remaining)
		})
	}
}

func TestEachResponseBodyIsClosed(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, status := range []int{200, 204, 302, 400, 401, 404, 429, 500, 503} {
		for _, text := range []string{"", tokenJSON, createdJSON, "[" + tokenJSON + "]", "<html>", `{"id":`, "junk"} {
			for _, end := range []error{io.EOF, broken} {
				for _, op := range operations {
					var opened, closed atomic.Int32
					c := mustClient(t, quickRetry, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
						opened.Add(1)
						body := io.MultiReader(strings.NewReader(text), endWith{end})
						return &http.Response{StatusCode: status, Header: http.Header{}, Request: r, Body: closing{body, &closed}}, nil
					})))
					_ = op.do(t.Context(), c) // its error is the subject of other tests
					require.Positive(t, opened.Load())
					require.Equal(t, opened.Load(), closed.Load(), "%s, status %d, %q, %v", op.name, status, text, end)
				}
			}
		}
	}
}

type endWith struct{ err error }

func (e endWith) Read([]byte) (int, error) { return 0, e.err }

type closing struct {
	io.Reader
	closed *atomic.Int32
}

func (c closing) Close() error {
	c.closed.Add(1)
	return nil
}

// The check for leaked goroutines is at the end of the program.
func TestCanceledCallsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var arrived sync.WaitGroup
	srv := newStubFunc(t, func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		arrived.Done()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithAPIKey(someKey))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calls sync.WaitGroup
	for range 4 {
		for _, op := range operations {
			arrived.Add(1)
			calls.Go(func() { assert.ErrorIs(t, op.do(ctx, c), context.Canceled) })
		}
	}
	arrived.Wait()
	cancel()
	calls.Wait()
}

// Each way of authentication, for every operation, alone and over the transport
// of the caller's client.
func TestEachOperationIsAuthenticated(t *testing.T) {
	t.Parallel()
	ways := map[string]struct {
		option func(base http.RoundTripper) fastly.Option
		header http.Header
	}{
		"key": {
			func(http.RoundTripper) fastly.Option { return fastly.WithAPIKey(someKey) },
			http.Header{"Fastly-Key": {someKey}},
		},
		"key function": {
			func(http.RoundTripper) fastly.Option {
				return fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return someKey, nil })
			},
			http.Header{"Fastly-Key": {someKey}},
		},
		"Basic": {
			func(http.RoundTripper) fastly.Option { return fastly.WithBasicAuth("jane@example.com", "päss: word") },
			http.Header{"Authorization": {"Basic amFuZUBleGFtcGxlLmNvbTpww6Rzczogd29yZA=="}},
		},
		"transport": {
			func(base http.RoundTripper) fastly.Option {
				return fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
					r = r.Clone(r.Context())
					r.Header.Set("Authorization", "Custom 1")
					return base.RoundTrip(r)
				}))
			},
			http.Header{"Authorization": {"Custom 1"}},
		},
	}
	for name, way := range ways {
		for _, op := range operations {
			for _, own := range []bool{false, true} {
				t.Run(name+" "+op.name+" own client "+strconv.FormatBool(own), func(t *testing.T) {
					t.Parallel()
					srv := newStub(t, op.status, nil, op.body)
					base := &http.Transport{}
					t.Cleanup(base.CloseIdleConnections)
					opts := []fastly.Option{fastly.WithBaseURL(srv.URL), way.option(base), noRetry}
					if own && name != "transport" {
						opts = append(opts, fastly.WithHTTPClient(&http.Client{Transport: base}))
					} else if own {
						opts = append(opts, fastly.WithHTTPClient(&http.Client{Timeout: time.Minute}))
					}
					require.NoError(t, op.do(t.Context(), mustClient(t, opts...)))
					got := http.Header{}
					for _, header := range []string{"Fastly-Key", "Authorization"} {
						if values := srv.request(t).header[header]; values != nil {
							got[header] = values
						}
					}
					assert.Equal(t, way.header, got)
				})
			}
		}
	}
}

// The function may keep the context, and what it starts must outlive the attempt.
func TestKeyFunctionIsCalledForEachAttemptWithTheCallersContext(t *testing.T) {
	t.Parallel()
	type contextKey struct{}
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			first := true
			srv := newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
				if first {
					first = false
					w.WriteHeader(http.StatusTooManyRequests)
					return
				}
				w.WriteHeader(op.status)
				_, _ = io.WriteString(w, op.body)
			})
			var kept []context.Context
			c := mustClient(t, fastly.WithBaseURL(srv.URL), quickRetry, fastly.WithAPIKeyFunc(func(ctx context.Context) (fastly.Secret, error) {
				kept = append(kept, ctx)
				return fastly.Secret(fmt.Sprint("key-", len(kept))), nil
			}))
			ctx := context.WithValue(t.Context(), contextKey{}, "the caller's")
			require.NoError(t, op.do(ctx, c))
			want := []string{"key-1", "key-2"}
			if op.kind == fastly.KindRevokeCurrent {
				want = []string{"key-1", "key-1"}
			}
			var keys []string
			for _, r := range srv.requests() {
				keys = append(keys, r.header.Get("Fastly-Key"))
			}
			assert.Equal(t, want, keys)
			for _, ctx := range kept {
				require.NoError(t, ctx.Err())
				assert.Equal(t, "the caller's", ctx.Value(contextKey{}))
			}
		})
	}
}

func TestKeyFunctionErrorEndsTheCall(t *testing.T) {
	t.Parallel()
	errVault := errors.New("vault is sealed")
	for name, test := range map[string]struct {
		key  fastly.Secret
		err  error
		is   error
		want string
	}{
		"error":   {"", errVault, errVault, "fastly: GET /tokens/self: the key function failed: vault is sealed"},
		"no key":  {"", nil, fastly.ErrInvalidArgument, "fastly: GET /tokens/self: invalid argument: the API key is empty"},
		"bad key": {"hunter22\n", nil, fastly.ErrInvalidArgument, "fastly: GET /tokens/self: invalid argument: the API key holds a control character (a line break at its end?)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusOK, nil, tokenJSON)
			calls := 0
			// Even with retries on.
			c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) {
				calls++
				return test.key, test.err
			}))
			_, err := c.Tokens.GetTokenCurrent(t.Context())
			require.ErrorIs(t, err, test.is)
			require.EqualError(t, err, test.want)
			assert.Empty(t, srv.requests())
			assert.Equal(t, 1, calls)
		})
	}
}

// A person may be typing.
func TestTimeOfKeyAndOTPFunctionsIsNotThatOfTheAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := func(context.Context) (fastly.Secret, error) {
			time.Sleep(time.Hour)
			return "314159", nil
		}
		attempts := 0
		c := mustClient(t, fastly.WithAPIKeyFunc(slow), fastly.WithHTTPClient(&http.Client{
			Timeout: time.Minute,
			Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
				select {
				case <-time.After(59 * time.Second):
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
				if attempts++; attempts == 1 {
					return respond(http.StatusTooManyRequests, "")(r)
				}
				return respond(http.StatusOK, createdJSON)(r)
			}),
		}))
		_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{OTPFunc: slow})
		require.NoError(t, err)
		assert.Equal(t, 2, attempts)
	})
}

// The attempt's trace must not see them.
func TestRequestsOfTheKeyFunctionAreNotTheClients(t *testing.T) {
	t.Parallel()
	vault := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "key") }))
	t.Cleanup(vault.Close)
	var calls atomic.Int32
	refusing := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}}
	c := mustClient(t, fastly.WithHTTPClient(&http.Client{Transport: refusing}), fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 3, MinBackoff: time.Millisecond}),
		fastly.WithAPIKeyFunc(func(ctx context.Context) (fastly.Secret, error) {
			calls.Add(1)
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, vault.URL, nil)
			if err != nil {
				return "", err
			}
			resp, err := vault.Client().Do(req)
			if err != nil {
				return "", err
			}
			defer resp.Body.Close()
			key, err := io.ReadAll(resp.Body)
			return fastly.Secret(key), err
		}))
	_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: "deploy"})
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown, "nothing was sent")
	assert.EqualValues(t, 3, calls.Load(), "so it is retried")
}
