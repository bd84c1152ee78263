package fastly_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// A transport of the caller's may print requests. That shows the header, but not
// the body.
func TestPrintedRequestShowsNoBody(t *testing.T) {
	t.Parallel()
	var printed strings.Builder
	c := mustClient(t, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			fmt.Fprintf(&printed, verb+"\n", r)
			fmt.Fprintf(&printed, verb+"\n", r.Context())
		}
		return nil, io.ErrUnexpectedEOF
	})))
	_, err := c.Tokens.CreateToken(t.Context(), canaryLoginRequest())
	require.Error(t, err)
	assert.Contains(t, printed.String(), "/tokens")
	assert.NotContains(t, printed.String(), canaryPassword)
	assert.NotContains(t, printed.String(), url.QueryEscape(canaryPassword))
}

// What each call sends, to the byte: method, path, header and body.
func TestRequestsAreSentAsDocumented(t *testing.T) {
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
		method, uri string
		header      http.Header // in addition to what each request has; nil removes
		body        string
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
		"create: another scope":    {create(fastly.CreateTokenRequest{Scopes: fastly.Scopes{"brand:new"}}), createWant("scope=brand%3Anew")},
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
			want{"POST", "/tokens", http.Header{"Content-Type": {form}, "Fastly-Key": nil}, "password=correct+horse&username=jane%40example.com"},
		},
		"create: one-time password": {
			create(fastly.CreateTokenRequest{Name: "x", OTP: "123456"}),
			want{"POST", "/tokens", http.Header{"Content-Type": {form}, "Fastly-Otp": {"123456"}}, "name=x"},
		},
		"get":            {getToken.do, want{"GET", "/tokens/" + someID, nil, ""}},
		"get current":    {getTokenCurrent.do, want{"GET", "/tokens/self", nil, ""}},
		"list customer":  {listTokensCustomer.do, want{"GET", "/customer/" + someCustomer + "/tokens", nil, ""}},
		"list user":      {listTokensUser.do, want{"GET", "/tokens", nil, ""}},
		"revoke":         {revokeToken.do, want{"DELETE", "/tokens/" + someID, nil, ""}},
		"revoke current": {revokeTokenCurrent.do, want{"DELETE", "/tokens/self", nil, ""}},
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
				i := slices.IndexFunc(operations, func(op operation) bool { return op.method == r.Method && op.path == r.URL.Path })
				w.WriteHeader(operations[i].status)
				_, _ = w.Write([]byte(operations[i].body))
			})
			c := srv.client(t)
			// What a client sends may depend on the protocol of its first response.
			for range 2 {
				require.NoError(t, test.call(t.Context(), c))
			}
			for _, got := range srv.requests() {
				assert.Equal(t, test.want.method, got.method)
				assert.Equal(t, test.want.uri, got.uri)
				assert.Equal(t, hostOf(t, srv.URL), got.host)
				assert.Equal(t, test.want.body, got.body)
				assert.Equal(t, int64(len(test.want.body)), got.length)
				assert.False(t, got.chunked, "the length is known")

				header := http.Header{"Accept": {"application/json"}, "User-Agent": {libraryProduct}, "Fastly-Key": {someKey}}
				for name, values := range test.want.header {
					if header[name] = values; values == nil {
						delete(header, name)
					}
				}
				encoding := "gzip" // of net/http
				if got.method == http.MethodPost {
					encoding = "identity" // what is left of a truncated response has to be readable
				}
				assert.Equal(t, encoding, got.header.Get("Accept-Encoding"))
				got.header.Del("Accept-Encoding")
				if test.want.body == "" && got.method != http.MethodPost {
					assert.NotContains(t, got.header, "Content-Length", "there is no body")
				}
				got.header.Del("Content-Length")
				assert.Equal(t, header, got.header)
			}
		})
	}
}

func TestBulkRevokeDoesNotModifyTheList(t *testing.T) {
	t.Parallel()
	list := []string{otherID, someID, otherID}
	require.NoError(t, newStub(t, http.StatusNoContent, nil, "").client(t).Tokens.BulkRevokeTokens(t.Context(), list))
	assert.Equal(t, []string{otherID, someID, otherID}, list)
}

// A transport that modifies a request must not modify later ones.
func TestRequestsShareNothing(t *testing.T) {
	t.Parallel()
	for _, option := range []string{"WithHTTPClient", "WithTransport"} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			var seen []http.Header
			meddling := roundTripFunc(func(r *http.Request) (*http.Response, error) {
				seen = append(seen, r.Header.Clone())
				for name := range r.Header {
					r.Header.Add(name, "again")
				}
				r.Header.Set("X-Added", "yes")
				r.URL = &url.URL{Path: "/elsewhere"}
				if r.Method == http.MethodDelete {
					return respond(http.StatusNoContent, "")(r)
				}
				return respond(http.StatusOK, tokenJSON)(r)
			})
			opts := []fastly.Option{noRetry, fastly.WithTransport(meddling)}
			if option == "WithHTTPClient" {
				opts = []fastly.Option{noRetry, fastly.WithAPIKey(someKey), fastly.WithHTTPClient(&http.Client{Transport: meddling})}
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

func TestOTPFuncIsCalledForEachAttempt(t *testing.T) {
	t.Parallel()
	type contextKey struct{}
	srv := newAPI(t)
	user := srv.AddUser(fastlytest.User{OTP: "code-2"})
	c := srv.Client(fastly.WithAPIKey(srv.AddToken(user.ID, fastly.TokenCreatedResponse{}).AccessToken.Reveal()), quickRetry)
	srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: http.StatusTooManyRequests, Body: "slow down"})
	calls := 0
	ctx := context.WithValue(t.Context(), contextKey{}, "the caller's")
	req := &fastly.CreateTokenRequest{OTP: "ignored", OTPFunc: func(ctx context.Context) (fastly.Secret, error) {
		calls++
		assert.Equal(t, "the caller's", ctx.Value(contextKey{}))
		return fastly.Secret(fmt.Sprint("code-", calls)), nil
	}}
	_, err := c.Tokens.CreateToken(ctx, req)
	require.NoError(t, err)
	var codes []string
	for _, r := range srv.Requests() {
		codes = append(codes, r.Header.Get("Fastly-OTP"))
	}
	assert.Equal(t, []string{"code-1", "code-2"}, codes)
}

func TestOTPFuncWithoutACodeSendsNone(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusOK, nil, createdJSON)
	_, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{
		OTP: "ignored", OTPFunc: func(context.Context) (fastly.Secret, error) { return "", nil },
	})
	require.NoError(t, err)
	assert.NotContains(t, srv.request(t).header, "Fastly-Otp")
}

func TestErrorOfOTPFuncEndsTheCall(t *testing.T) {
	t.Parallel()
	errPhone := errors.New("the phone is off")
	for name, test := range map[string]struct {
		code fastly.Secret
		err  error
		is   error
		want string
	}{
		"error":           {"", errPhone, errPhone, "fastly: POST /tokens: the OTP function failed: the phone is off"},
		"error and code":  {"314159", fmt.Errorf("code 314159: %w", errPhone), errPhone, "fastly: POST /tokens: the OTP function failed: [REDACTED]"},
		"line break":      {"314159\n", nil, fastly.ErrInvalidArgument, "fastly: POST /tokens: invalid argument: the OTP holds a control character (a line break at its end?)"},
		"space in a code": {"314 159", nil, fastly.ErrInvalidArgument, "fastly: POST /tokens: invalid argument: the OTP holds white space or another character that does not belong there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusOK, nil, createdJSON)
			calls := 0
			_, err := srv.client(t, quickRetry).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{
				OTPFunc: func(context.Context) (fastly.Secret, error) {
					calls++
					return test.code, test.err
				},
			})
			require.ErrorIs(t, err, test.is)
			require.EqualError(t, err, test.want)
			require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)
			assert.Equal(t, 1, calls)
			assert.Empty(t, srv.requests())
		})
	}
}

// Programs revoke many tokens at once.
func TestBulkRevokeAllocatesOnceForManyIDs(t *testing.T) {
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = fmt.Sprintf("%022d", i)
	}
	c := mustClient(t, fastly.WithTransport(respond(http.StatusNoContent, "")))
	allocations := func(n int) float64 {
		return testing.AllocsPerRun(20, func() {
			assert.NoError(t, c.Tokens.BulkRevokeTokens(t.Context(), ids[:n]))
		})
	}
	assert.Less(t, allocations(1000), allocations(1)+50)
}

// clocked is a stub whose responses carry a Date, and a client whose clock stands still.
type clocked struct {
	*stub
	client *fastly.Client
	header http.Header
	status int
	body   string
	local  time.Time
}

func newClocked(t *testing.T, opts ...fastly.Option) *clocked {
	t.Helper()
	c := &clocked{status: http.StatusOK, body: createdJSON, header: http.Header{}, local: testTime}
	c.stub = newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range c.header {
			w.Header()[name] = values
		}
		w.WriteHeader(c.status)
		_, _ = io.WriteString(w, c.body)
	})
	c.client = c.stub.client(t, opts...)
	skipWaits(c.client)
	fastly.HookNow(c.client, func() time.Time { return c.local })
	return c
}

// create creates a token that lives for an hour, and returns the expiry that was sent.
func (c *clocked) create(t *testing.T) string {
	t.Helper()
	_, _ = c.client.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Lifetime: time.Hour})
	requests := c.requests()
	form, err := url.ParseQuery(requests[len(requests)-1].body)
	require.NoError(t, err)
	return form.Get("expires_at")
}

func dateHeader(at time.Time) []string { return []string{at.UTC().Format(http.TimeFormat)} }

func TestLifetimeCountsByTheAPIsClock(t *testing.T) {
	t.Parallel()
	c := newClocked(t)
	c.header["Date"] = dateHeader(testTime.Add(45 * time.Minute))
	assert.Equal(t, "2030-05-06T08:30:00Z", c.create(t), "the local clock, as long as there was no response")
	assert.Equal(t, "2030-05-06T09:15:00Z", c.create(t), "the API's clock")
	c.local = c.local.Add(90 * time.Second)
	assert.Equal(t, "2030-05-06T09:16:30Z", c.create(t), "and the time since")
	c.header["Date"] = dateHeader(testTime.Add(-45 * time.Minute))
	_ = c.create(t)
	assert.Equal(t, "2030-05-06T07:45:00Z", c.create(t), "the last response counts")
	c.local = c.local.Add(time.Nanosecond)
	assert.Equal(t, "2030-05-06T07:45:01Z", c.create(t), "rounded up")

	child, err := c.client.With(fastly.WithAPIKey("child"))
	require.NoError(t, err)
	c.client = child
	assert.Equal(t, "2030-05-06T07:45:00Z", c.create(t), "a child shares it")
	child, err = c.client.With(fastly.WithAPIKey("child"), fastly.WithBaseURL(c.URL+"/other"))
	require.NoError(t, err)
	c.client = child
	assert.Equal(t, "2030-05-06T08:31:31Z", c.create(t), "but not for another base URL")
}

func TestLongestLifetimeEndsInTheFuture(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusBadRequest, nil, `{"msg":"no"}`)
	_, _ = srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Lifetime: math.MaxInt64})
	form, err := url.ParseQuery(srv.request(t).body)
	require.NoError(t, err)
	assert.Greater(t, form.Get("expires_at"), "2300")
}

func TestLifetimeCountsFromEachAttempt(t *testing.T) {
	t.Parallel()
	c := newClocked(t, fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 2}))
	c.status, c.body = http.StatusTooManyRequests, `{"msg":"You have exceeded your hourly rate limit."}`
	c.header["Date"] = dateHeader(testTime.Add(45 * time.Minute))
	assert.Equal(t, "2030-05-06T09:15:00Z", c.create(t))
	assert.Len(t, c.requests(), 2)
}

// A proxy, a cache or a portal has another clock.
func TestOnlyAResponseOfTheAPIShowsItsClock(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		header http.Header
		counts bool
	}{
		"created":            {http.StatusOK, createdJSON, nil, true},
		"refused":            {http.StatusBadRequest, `{"msg":"no"}`, nil, true},
		"failed":             {http.StatusServiceUnavailable, `{"msg":"busy"}`, nil, true},
		"no Date":            {http.StatusOK, createdJSON, http.Header{"Date": nil}, false},
		"a Date of no form":  {http.StatusOK, createdJSON, http.Header{"Date": {"yesterday"}}, false},
		"kept by a cache":    {http.StatusOK, createdJSON, http.Header{"Age": {"7"}}, false},
		"of another form":    {http.StatusOK, `{"hello":"world"}`, nil, false},
		"a firewall's page":  {http.StatusForbidden, "<title>Blocked</title>", nil, false},
		"nothing":            {http.StatusNotFound, "", nil, false},
		"a balancer's error": {http.StatusServiceUnavailable, "no backend", nil, false},
	} {
		c := newClocked(t)
		c.status, c.body = test.status, test.body
		c.header["Date"] = dateHeader(testTime.Add(45 * time.Minute))
		for name, values := range test.header {
			c.header[name] = values
		}
		_ = c.create(t)
		want := "2030-05-06T08:30:00Z"
		if test.counts {
			want = "2030-05-06T09:15:00Z"
		}
		assert.Equal(t, want, c.create(t), name)
	}
}

// Some systems stop the monotonic clock meanwhile.
func TestClockOfTheAPIIsForgottenWhenTheMachineSlept(t *testing.T) {
	t.Parallel()
	c := newClocked(t)
	c.local = time.Now()
	require.Contains(t, c.local.String(), "m=", "a monotonic reading")
	c.header["Date"] = dateHeader(c.local.Add(45 * time.Minute))
	_ = c.create(t)
	slept := c.local.Add(8 * time.Hour)
	ext := (*int64)(unsafe.Add(unsafe.Pointer(&slept), 8)) // time.Time has no way to set its monotonic reading
	*ext -= int64(8 * time.Hour)
	require.Zero(t, slept.Sub(c.local))
	c.local = slept
	c.header = http.Header{"Date": nil}
	assert.Equal(t, slept.Add(time.Hour+time.Second-1).UTC().Format(time.RFC3339), c.create(t))
}

func TestRefusedExpiryNamesAClockThatIsFarOff(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		msg    string
		ahead  time.Duration
		age    string
		want   string
	}{
		"ahead":          {http.StatusUnprocessableEntity, "Invalid value for expires_at", 5*time.Minute + time.Second, "", "this machine's clock differs from the API's by 5m1s: correct it"},
		"a bit ahead":    {http.StatusUnprocessableEntity, "Invalid value for expires_at", 3 * time.Minute, "", "differs from the API's by 3m0s"},
		"behind":         {http.StatusBadRequest, "expires_at must be in the future", -25 * time.Hour, "", "this machine's clock differs from the API's by 25h0m0s: correct it"},
		"right":          {http.StatusUnprocessableEntity, "Invalid value for expires_at", 2 * time.Minute, "", ""},
		"from a cache":   {http.StatusUnprocessableEntity, "Invalid value for expires_at", time.Hour, "1", ""},
		"another error":  {http.StatusUnprocessableEntity, "Invalid value for name", time.Hour, "", ""},
		"not refused":    {http.StatusForbidden, "Your password has expired", time.Hour, "", ""},
		"no right to it": {http.StatusForbidden, "You may not set expires_at", time.Hour, "", ""},
	} {
		c := newClocked(t)
		c.status, c.body = test.status, `{"msg":"`+test.msg+`"}`
		c.header["Date"] = dateHeader(testTime.Add(-test.ahead))
		if test.age != "" {
			c.header["Age"] = []string{test.age}
		}
		_, err := c.client.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{ExpiresAt: testTime.Add(time.Minute)})
		require.ErrorContains(t, err, test.msg, name)
		if test.want != "" {
			assert.ErrorContains(t, err, test.want, name)
		} else {
			assert.NotContains(t, err.Error(), "clock", name)
		}
	}
}
