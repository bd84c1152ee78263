package fastly_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// What errors say to do next.
const (
	hintOTP         = "; send the account's current one-time password, or the next one if that was used already"
	hintSudo        = "; confirm the API key by POST /sudo first"
	hintSudoCreate  = "; create with a user name and password, or confirm the API key by POST /sudo first"
	hintScope       = "; use one of the scopes global, purge_select, purge_all and global:read"
	hintLocked      = "; reset the user's password in the Fastly web interface"
	hintExpired     = "; use another API token: this one has expired"
	hintCredentials = "; check that the credentials are right, and neither expired nor revoked"
	hintForbidden   = "; use a token whose scope and user may do this"
	hintForeign     = "; something other than the API answered: check the base URL and proxies"
	hintNetwork     = "; check the network, proxies and the base URL"
	hintMissing     = "; one of the tokens does not exist, and as far as is known none was revoked: revoke them one by one"
)

// hintRevoked is what to do after a revoke that may have been processed.
func (o operation) hintRevoked() string {
	if o.kind == fastly.KindRevokeBulk {
		return "; the tokens may be revoked nevertheless: list them before you revoke them again, which is then a 404"
	}
	return "; the token may be revoked nevertheless; revoking again by ID is safe"
}

const sudoJSON = `{"msg":"You must POST /sudo to access this endpoint"}`

const (
	typeJSON    = "application/json"
	typeJSONAPI = "application/vnd.api+json"
	typeProblem = "application/problem+json"
	typeText    = "text/plain; charset=utf-8"
	typeHTML    = "text/html; charset=utf-8"
)

// errorCase is a response that is not a 2xx, with the error that it becomes.
type errorCase struct {
	status            int
	contentType, body string
	msg, detail, code string
	is                []error // besides that of the status
	foreign           bool    // it has none of the API's forms
	text              string  // of the error, after the path
}

func (c errorCase) check(t *testing.T) {
	t.Parallel()
	header := http.Header{"Content-Type": nil} // no guess by net/http
	if c.contentType != "" {
		header.Set("Content-Type", c.contentType)
	}
	srv := newStub(t, c.status, header, c.body)
	token, err := srv.client(t).Tokens.GetToken(t.Context(), someID)
	assert.Nil(t, token)
	got := responseError(t, err)
	assert.Equal(t, c.status, got.StatusCode)
	assert.Equal(t, c.msg, got.Msg, "Msg")
	assert.Equal(t, c.detail, got.Detail, "Detail")
	assert.Equal(t, c.code, got.Code, "Code")
	assert.Equal(t, c.body, got.Body, "Body")
	assert.Equal(t, c.contentType, got.Header.Get("Content-Type"))
	assert.Equal(t, http.MethodGet, got.Method)
	assert.Equal(t, "/tokens/"+someID, got.Path)
	assert.Zero(t, got.RetryAfter)
	assert.Zero(t, got.RateLimit)
	want := append([]error{statusSentinel(c.status)}, c.is...)
	if c.foreign && c.status < 500 {
		want = []error{fastly.ErrInvalidResponse}
		c.text += hintForeign
	}
	assertMatches(t, err, want...)
	assertOneLine(t, err)
	require.EqualError(t, err, "fastly: GET /tokens/"+someID+": "+c.text)

	wrapped := fmt.Errorf("deploy: %w", err)
	assertMatches(t, wrapped, want...)
	assert.Same(t, got, responseError(t, wrapped))
}

// errorMessages are messages of the API's own form.
var errorMessages = map[string]errorCase{
	"msg": {
		status: 400, contentType: typeJSON, body: `{"msg":"Bad request"}`, msg: "Bad request", text: "400 Bad request",
	},
	"msg and detail": {
		status: 404, contentType: typeJSON, body: `{"msg":"Record not found","detail":"Cannot load token"}`,
		msg: "Record not found", detail: "Cannot load token", text: "404 Record not found: Cannot load token",
	},
	"msg, detail and code": {
		status: 422, contentType: typeJSON, body: `{"msg":"Invalid","detail":"expires_at","code":"invalid_expiry"}`,
		msg: "Invalid", detail: "expires_at", code: "invalid_expiry", text: "422 Invalid: expires_at (invalid_expiry)",
	},
	"detail alone": {
		status: 400, contentType: typeJSON, body: `{"detail":"No such service"}`, detail: "No such service", text: "400 No such service", foreign: true,
	},
	"detail that repeats msg": {
		status: 400, contentType: typeJSON, body: `{"msg":"No such service","detail":"No such service"}`,
		msg: "No such service", detail: "No such service", text: "400 No such service",
	},
	"code alone": {
		status: 400, contentType: typeJSON, body: `{"code":"odd"}`, code: "odd", text: "400 Bad Request (odd)", foreign: true,
	},
	"missing credentials": {
		status: 401, contentType: typeJSON, body: `{"msg":"Provided credentials are missing or invalid"}`,
		msg: "Provided credentials are missing or invalid", is: []error{fastly.ErrInvalidCredentials},
		text: "401 Provided credentials are missing or invalid" + hintCredentials,
	},
	"empty 401":   {status: 401, contentType: typeJSON, text: "401 Unauthorized", foreign: true},
	"another 401": {status: 401, contentType: typeJSON, body: `{"msg":"Go away"}`, msg: "Go away", text: "401 Go away" + hintCredentials},
	"expired token": {
		status: 401, contentType: typeJSON, body: `{"msg":"Token 3Riw expired at 2019-05-01T09:00:00Z"}`,
		msg: "Token 3Riw expired at 2019-05-01T09:00:00Z", is: []error{fastly.ErrTokenExpired},
		text: "401 Token 3Riw expired at 2019-05-01T09:00:00Z" + hintExpired,
	},
	"expired token in detail": {
		status: 401, contentType: typeJSON, body: `{"msg":"Provided credentials are missing or invalid","detail":"Token 3Riw Expired at 2019-05-01T09:00:00Z"}`,
		msg: "Provided credentials are missing or invalid", detail: "Token 3Riw Expired at 2019-05-01T09:00:00Z", is: []error{fastly.ErrTokenExpired},
		text: "401 Provided credentials are missing or invalid: Token 3Riw Expired at 2019-05-01T09:00:00Z" + hintExpired,
	},
	"expired, of another status": {
		status: 400, contentType: typeJSON, body: `{"msg":"The offer expired at noon"}`, msg: "The offer expired at noon", text: "400 The offer expired at noon",
	},
	"not authorized": {
		status: 403, contentType: typeJSON, body: `{"msg":"You are not authorized to perform this action"}`,
		msg: "You are not authorized to perform this action", text: "403 You are not authorized to perform this action" + hintForbidden,
	},
	"sudo": {
		status: 403, contentType: typeJSON, body: sudoJSON, msg: "You must POST /sudo to access this endpoint",
		is: []error{fastly.ErrSudoRequired}, text: "403 You must POST /sudo to access this endpoint" + hintSudo,
	},
	"one-time password": {
		status: 400, contentType: typeJSON, body: `{"msg":"Bad request","code":"2fa.verify"}`, msg: "Bad request", code: "2fa.verify",
		is: []error{fastly.ErrOTPRequired}, text: "400 Bad request (2fa.verify)" + hintOTP,
	},
	"one-time password in msg": {
		status: 401, contentType: typeJSON, body: `{"msg":"2fa.verify"}`, msg: "2fa.verify",
		is: []error{fastly.ErrOTPRequired}, text: "401 2fa.verify" + hintOTP,
	},
	"one-time password in both": {
		status: 403, contentType: typeJSON, body: `{"msg":"2fa.verify","code":"2fa.verify"}`, msg: "2fa.verify", code: "2fa.verify",
		is: []error{fastly.ErrOTPRequired}, text: "403 2fa.verify" + hintOTP,
	},
	"wrong password": {
		status: 400, contentType: typeJSON, body: `{"msg":"Bad request","code":"invalid_grant"}`, msg: "Bad request", code: "invalid_grant",
		is: []error{fastly.ErrInvalidCredentials}, text: "400 Bad request (invalid_grant)" + hintCredentials,
	},
	"no password": {
		status: 400, contentType: typeJSON, body: `{"msg":"Bad request","code":"invalid_request"}`, msg: "Bad request", code: "invalid_request",
		text: "400 Bad request (invalid_request)",
	},
	"unknown scope": {
		status: 400, contentType: typeJSON, body: `{"msg":"Bad request","detail":"bad scope","code":"invalid_scope"}`,
		msg: "Bad request", detail: "bad scope", code: "invalid_scope",
		is: []error{fastly.ErrInvalidScope}, text: "400 Bad request: bad scope (invalid_scope)" + hintScope,
	},
	"locked": {
		status: 400, contentType: typeJSON, body: `{"msg":"Bad request","code":"account_locked"}`, msg: "Bad request", code: "account_locked",
		is: []error{fastly.ErrAccountLocked}, text: "400 Bad request (account_locked)" + hintLocked,
	},
	"code of JSON:API": {
		status: 400, contentType: typeJSONAPI, body: `{"errors":[{"title":"Bad request","code":"2fa.verify"}]}`, msg: "Bad request", code: "2fa.verify",
		is: []error{fastly.ErrOTPRequired}, text: "400 Bad request (2fa.verify)" + hintOTP,
	},
	"code that only looks known": {
		status: 400, contentType: typeJSON, body: `{"msg":"the scope invalid_scope","detail":"2fa.verify","code":"INVALID_SCOPE"}`,
		msg: "the scope invalid_scope", detail: "2fa.verify", code: "INVALID_SCOPE", text: "400 the scope invalid_scope: 2fa.verify (INVALID_SCOPE)",
	},
	"rate limit": {
		status: 429, contentType: typeJSON, body: `{"msg":"You have exceeded your hourly rate limit"}`,
		msg: "You have exceeded your hourly rate limit", text: "429 You have exceeded your hourly rate limit",
	},
	"server error": {
		status: 500, contentType: typeJSON, body: `{"msg":"Internal error"}`, msg: "Internal error", text: "500 Internal error",
	},

	// Statuses without a sentinel of their own.
	"payment":         {status: 402, text: "402 Payment Required", foreign: true},
	"conflict":        {status: 409, contentType: typeJSON, body: `{"msg":"Conflict"}`, msg: "Conflict", text: "409 Conflict"},
	"teapot":          {status: 418, text: "418 I'm a teapot", foreign: true},
	"unknown":         {status: 499, contentType: typeText, body: "gone", msg: "gone", text: "499 gone", foreign: true},
	"not modified":    {status: 304, text: "304 Not Modified", foreign: true},
	"not implemented": {status: 501, text: "501 Not Implemented"},
	"timeout":         {status: 504, text: "504 Gateway Timeout"},
}

func TestErrorOfEachMessage(t *testing.T) {
	t.Parallel()
	for name, c := range errorMessages {
		t.Run(name, c.check)
	}
}

func TestEveryOperationReportsEveryStatus(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		for _, status := range []int{300, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504} {
			t.Run(op.name+" "+strconv.Itoa(status), func(t *testing.T) {
				t.Parallel()
				srv := newAPI(t)
				srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: status, Body: `{"msg":"no","detail":"not today","code":"x1"}`})
				err := op.do(t.Context(), srv.Client(noRetry))
				got := responseError(t, err)
				assert.Equal(t, &fastly.GenericTokenError{
					StatusCode: status, Msg: "no", Detail: "not today", Code: "x1", Method: op.method, Path: op.path,
					RateLimit: got.RateLimit, RetryAfter: got.RetryAfter, Header: got.Header, // other tests' subject
					Body: `{"msg":"no","detail":"not today","code":"x1"}`,
				}, exported(got))
				want := []error{statusSentinel(status)}
				if op.kind == fastly.KindCreate && status >= 500 {
					want = append(want, fastly.ErrOutcomeUnknown)
				}
				assertMatches(t, err, want...)
				require.ErrorContains(t, err, fmt.Sprintf("fastly: %s %s: %d no: not today (x1)", op.method, op.path, status))
				assertOneLine(t, err)
				assert.Len(t, srv.Requests(), 1)
			})
		}
	}
}

// exported is e without its unexported fields.
func exported(e *fastly.GenericTokenError) *fastly.GenericTokenError {
	return &fastly.GenericTokenError{
		StatusCode: e.StatusCode, Msg: e.Msg, Detail: e.Detail, Code: e.Code, Method: e.Method, Path: e.Path,
		RateLimit: e.RateLimit, RetryAfter: e.RetryAfter, Header: e.Header, Body: e.Body,
	}
}

func TestServerErrorOfACreateSaysWhatToLookFor(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusBadGateway, nil, "<html><title>Bad Gateway</title></html>")
	_, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: "deploy\n2"})
	assertMatches(t, err, fastly.ErrServer, fastly.ErrOutcomeUnknown)
	assert.EqualError(t, err, `fastly: POST /tokens: 502 Bad Gateway; a token may have been created: before you create it again, look for the name "deploy\n2" in a list of the user's tokens, and revoke what you find and don't hold`)
}

func TestHintShowsABoundedNameOfTheTokenToLookFor(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusBadGateway, nil, "")
	for name, shown := range map[string]string{
		strings.Repeat("n", 100):        strings.Repeat("n", 100),
		strings.Repeat("n", 150):        strings.Repeat("n", 97) + "…",
		strings.Repeat("n", 96) + "ééé": strings.Repeat("n", 96) + "…",
	} {
		_, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: name})
		assert.ErrorContains(t, err, `the name "`+shown+`" in`)
	}
}

func TestSudoHintFitsTheOperation(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		err := op.do(t.Context(), newStub(t, http.StatusForbidden, nil, sudoJSON).client(t))
		assertMatches(t, err, fastly.ErrForbidden, fastly.ErrSudoRequired)
		hint := hintSudo
		if op.kind == fastly.KindCreate {
			hint = hintSudoCreate
		}
		assert.EqualError(t, err, "fastly: "+op.method+" "+op.path+": 403 You must POST /sudo to access this endpoint"+hint)
	}
}

// The API takes a user name and password for creates only, as far as we know.
func TestBasicAuthHintFitsTheOperation(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	user := srv.User()
	const hint = "; a user name and password are for creates: use an API key"
	for _, op := range operations {
		err := op.do(t.Context(), srv.Client(noRetry, fastly.WithBasicAuth(user.Login, user.Password)))
		if op.kind == fastly.KindCreate {
			require.NoError(t, err)
			srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: http.StatusUnauthorized})
			err = op.do(t.Context(), srv.Client(noRetry, fastly.WithBasicAuth(user.Login, user.Password)))
			require.ErrorIs(t, err, fastly.ErrUnauthorized)
			assert.NotContains(t, err.Error(), hint, op.name)
			continue
		}
		require.ErrorIs(t, err, fastly.ErrUnauthorized, op.name)
		require.ErrorContains(t, err, hint, op.name)
		assert.NotContains(t, err.Error(), hintCredentials, op.name)
		assertOneLine(t, err)

		err = op.do(t.Context(), srv.Client(noRetry, fastly.WithAPIKey(someKey)))
		require.ErrorIs(t, err, fastly.ErrUnauthorized, op.name)
		assert.NotContains(t, err.Error(), hint, "%s with a key", op.name)
	}
}

// Each hint, if followed, leads to the next one, and in the end to a token.
func TestHintsOfACreateLeadToSuccess(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	user := srv.AddUser(fastlytest.User{OTP: "123456"})
	key := srv.AddToken(user.ID, fastly.TokenCreatedResponse{}).AccessToken
	c := srv.Client(fastly.WithAPIKey(key.Reveal()), noRetry)
	req := &fastly.CreateTokenRequest{}
	_, err := c.Tokens.CreateToken(t.Context(), req)
	require.ErrorIs(t, err, fastly.ErrOTPRequired)
	require.ErrorContains(t, err, hintOTP)

	req.OTP = "123456"
	srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: http.StatusForbidden, Body: sudoJSON})
	_, err = c.Tokens.CreateToken(t.Context(), req)
	require.ErrorIs(t, err, fastly.ErrSudoRequired)
	require.ErrorContains(t, err, hintSudoCreate)

	req.Username, req.Password = user.Login, fastly.Secret(user.Password)
	_, err = c.Tokens.CreateToken(t.Context(), req)
	require.NoError(t, err)
}

func TestLockedAccountCannotCreate(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	user := srv.AddUser(fastlytest.User{Locked: true})
	c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithBasicAuth(user.Login, user.Password), noRetry)
	_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	assertMatches(t, err, fastly.ErrBadRequest, fastly.ErrAccountLocked)
	assert.ErrorContains(t, err, hintLocked)
}

func TestExpiredTokenIsReported(t *testing.T) {
	t.Parallel()
	now := testTime
	srv := newAPI(t, fastlytest.WithClock(func() time.Time { return now }))
	key := srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ExpiresAt: testTime.Add(time.Hour)}}).AccessToken
	c := srv.Client(fastly.WithAPIKey(key.Reveal()), noRetry)
	token, err := c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	now = testTime.Add(time.Hour)
	assert.True(t, token.Expired(now))
	_, err = c.Tokens.GetTokenCurrent(t.Context())
	require.ErrorIs(t, err, fastly.ErrUnauthorized)
}

// TestErrorSaysWhenToRetry has both headers that ask to wait, on a clock that
// stands still.
func TestErrorSaysWhenToRetry(t *testing.T) {
	t.Parallel()
	reset := func(d time.Duration) string { return strconv.FormatInt(testTime.Add(d).Unix(), 10) }
	for name, test := range map[string]struct {
		status            int
		retryAfter, reset string
		want              time.Duration
		text              string
	}{
		"429, neither":                  {429, "", "", 0, "429 slow down"},
		"429, Retry-After":              {429, "90", "", 90 * time.Second, "429 slow down; the rate limit resets at 2030-05-06T07:31:30Z (in 1m30s)"},
		"429, reset":                    {429, "", reset(40 * time.Minute), 40 * time.Minute, "429 slow down; the rate limit resets at 2030-05-06T08:10:00Z (in 40m0s)"},
		"429, earlier Retry-After":      {429, "1", reset(40 * time.Minute), 40 * time.Minute, "429 slow down; the rate limit resets at 2030-05-06T08:10:00Z (in 40m0s)"},
		"429, later Retry-After":        {429, "7200", reset(40 * time.Minute), 2 * time.Hour, "429 slow down; the rate limit resets at 2030-05-06T09:30:00Z (in 2h0m0s)"},
		"429, past reset":               {429, "", reset(-time.Hour), 0, "429 slow down"},
		"429, reset now":                {429, "", reset(0), 0, "429 slow down"},
		"429, past reset, Retry-After":  {429, "5", reset(-time.Hour), 5 * time.Second, "429 slow down; the rate limit resets at 2030-05-06T07:30:05Z (in 5s)"},
		"429, reset at the end of time": {429, "", "253402300799", 365 * 24 * time.Hour, "429 slow down; the rate limit resets at 2031-05-06T07:30:00Z (in 8760h0m0s)"},
		"503, neither":                  {503, "", "", 0, "503 slow down"},
		"503, Retry-After":              {503, "90", "", 90 * time.Second, "503 slow down; retry at 2030-05-06T07:31:30Z (in 1m30s)"},
		"503, reset":                    {503, "", reset(40 * time.Minute), 0, "503 slow down"},
		"503, both":                     {503, "90", reset(40 * time.Minute), 90 * time.Second, "503 slow down; retry at 2030-05-06T07:31:30Z (in 1m30s)"},
		"503, unreadable":               {503, "soon", "", 0, "503 slow down"},
		"404, Retry-After":              {404, "90", "", 90 * time.Second, "404 slow down; retry at 2030-05-06T07:31:30Z (in 1m30s)"},
		"404, reset":                    {404, "", reset(40 * time.Minute), 0, "404 slow down"},
		"301, Retry-After":              {301, "90", "", 90 * time.Second, "301 slow down; retry at 2030-05-06T07:31:30Z (in 1m30s)"},
		"403, Retry-After and a hint":   {403, "90", "", 90 * time.Second, "403 slow down" + hintForbidden + "; retry at 2030-05-06T07:31:30Z (in 1m30s)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Fastly-Ratelimit-Remaining": {"0"}, "Date": nil}
			limit := fastly.RateLimit{}
			if test.retryAfter != "" {
				header.Set("Retry-After", test.retryAfter)
			}
			if test.reset != "" {
				header.Set("Fastly-RateLimit-Reset", test.reset)
				seconds, err := strconv.ParseInt(test.reset, 10, 64)
				require.NoError(t, err)
				limit.Reset = time.Unix(seconds, 0)
			}
			srv := newStub(t, test.status, header, `{"msg":"slow down"}`)
			c := srv.client(t)
			skipWaits(c)
			_, err := c.Tokens.GetTokenCurrent(t.Context())
			require.EqualError(t, err, "fastly: GET /tokens/self: "+test.text)
			assertOneLine(t, err)
			got := responseError(t, err)
			assert.Equal(t, test.want, got.RetryAfter)
			assert.Equal(t, limit, got.RateLimit)

			err = c.Tokens.RevokeToken(t.Context(), someID)
			want := "fastly: DELETE /tokens/" + someID + ": " + test.text
			if test.status >= 500 {
				want += revokeToken.hintRevoked()
			}
			require.EqualError(t, err, want)
		})
	}
}

func TestFullStopOfAMessageIsLeftOutBeforeWhatFollows(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		e    fastly.GenericTokenError
		text string
	}{
		"nothing":      {fastly.GenericTokenError{StatusCode: 409, Msg: "No."}, "409 No"},
		"a hint":       {fastly.GenericTokenError{StatusCode: 403, Msg: "No."}, "403 No" + hintForbidden},
		"a detail":     {fastly.GenericTokenError{StatusCode: 409, Msg: "No.", Detail: "Not now. Or ever."}, "409 No: Not now. Or ever"},
		"a code":       {fastly.GenericTokenError{StatusCode: 409, Msg: "No.", Code: "x1"}, "409 No (x1)"},
		"an ellipsis":  {fastly.GenericTokenError{StatusCode: 409, Msg: "Wait..."}, "409 Wait"},
		"the same":     {fastly.GenericTokenError{StatusCode: 409, Msg: "No.", Detail: "No."}, "409 No"},
		"nothing else": {fastly.GenericTokenError{StatusCode: 409, Msg: "."}, "409 Conflict"},
	} {
		assert.EqualError(t, &test.e, "fastly: "+test.text, name)
	}
	srv := newStub(t, http.StatusTooManyRequests, http.Header{"Retry-After": {"5"}}, `{"msg":"Contact support if you think this is a mistake."}`)
	c := srv.client(t, quickRetry)
	skipWaits(c)
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	require.ErrorContains(t, err, "429 Contact support if you think this is a mistake (after 4 attempts); the rate limit resets at ")
	assert.Equal(t, "Contact support if you think this is a mistake.", responseError(t, err).Msg)
}

func TestExhaustedRateLimitIsReported(t *testing.T) {
	t.Parallel()
	srv := newAPI(t, fastlytest.WithRateLimit(1), fastlytest.WithClock(func() time.Time { return testTime }))
	c := srv.Client(noRetry)
	fastly.HookNow(c, func() time.Time { return testTime })
	_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	require.NoError(t, err)
	_, err = c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	assertMatches(t, err, fastly.ErrRateLimited)
	got := responseError(t, err)
	assert.Zero(t, got.RateLimit.Remaining)
	assert.True(t, got.RateLimit.Reset.Equal(testTime.Add(30*time.Minute)), "resets at %s", got.RateLimit.Reset)
	assert.Equal(t, 30*time.Minute, got.RetryAfter)
	require.ErrorContains(t, err, "; the rate limit resets at 2030-05-06T08:00:00Z (in 30m0s)")
	rl, ok := c.RateLimit()
	assert.True(t, ok)
	assert.Equal(t, got.RateLimit, rl)
}

func TestErrorKeepsTheHeaderOfTheResponse(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusFound, http.Header{
		"X-Served-By": {"cache-ams21-AMS"}, "X-Timer": {"S1610625600.123456,VS0,VE93"}, "Via": {"1.1 varnish", "1.1 varnish"},
		"Set-Cookie": {"session=" + canaryAccess, "b=2"}, "Location": {"https://login.example/path?next=/tokens&ticket=1#top"},
		"Fastly-Sso-Login-Url": {"https://sso.example/login#access_token=1"},
		"Content-Type":         {typeJSON}, "Date": {"Mon, 06 May 2030 07:30:00 GMT"}, "X-" + strings.Repeat("Name", 1<<8): {"x"},
	}, "{}")
	_, err := srv.client(t).Tokens.GetTokenCurrent(t.Context())
	assert.Equal(t, http.Header{
		"X-Served-By": {"cache-ams21-AMS"}, "X-Timer": {"S1610625600.123456,VS0,VE93"}, "Via": {"1.1 varnish, 1.1 varnish"},
		"Fastly-Sso-Login-Url": {"https://sso.example/login"},
		"Location":             {"https://login.example/path"}, "Content-Type": {typeJSON}, "Date": {"Mon, 06 May 2030 07:30:00 GMT"},
		"Content-Length": {"2"},
	}, responseError(t, err).Header)
	assert.NotContains(t, err.Error(), "cache-ams21", "it is for support, not for every reader")
}

// The header repeats each secret of the request, in each encoding.
func TestHeaderOfAnErrorIsRedactedInEachEncoding(t *testing.T) {
	t.Parallel()
	for form, echo := range echoes {
		if strings.Contains(form, "KiB") || strings.ContainsAny(echo(""), "\n") {
			continue // no header can carry it
		}
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			for _, test := range []struct {
				req     *fastly.CreateTokenRequest
				secrets []string
			}{
				{canaryRequest(), []string{canaryKey, canaryOTP}},
				{canaryLoginRequest(), []string{canaryPassword, canaryOTP}},
			} {
				header := http.Header{"X-Both": {}}
				for i, secret := range test.secrets {
					header.Set("X-Echo-"+strconv.Itoa(i), "before "+echo(secret)+" after")
					header.Add("X-Both", echo(secret))
				}
				srv := newStub(t, http.StatusBadRequest, header, "")
				_, err := srv.client(t, fastly.WithAPIKey(canaryKey)).Tokens.CreateToken(t.Context(), test.req)
				got := responseError(t, err).Header
				for name := range header {
					assert.Contains(t, got.Get(name), "[REDACTED]", name)
					assertNoSecretIn(t, name, got.Get(name))
				}
				assert.Equal(t, "[REDACTED]", got.Get("X-Echo-0"))
			}
		})
	}
}

// net/http changes the case of names; a transport of the caller's may not.
func TestHeaderOfAnErrorIsRedactedWhateverTheCaseOfNames(t *testing.T) {
	t.Parallel()
	c := mustClient(t, fastly.WithAPIKey(canaryKey), noRetry, fastly.WithHTTPClient(&http.Client{Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
		resp, err := respond(http.StatusBadRequest, "")(r)
		resp.Header = http.Header{
			"set-cookie": {"session=1"}, "location": {"https://example.com/path?ticket=1"}, "x-timer": {"VS0", "VE93"},
			http.CanonicalHeaderKey("x-" + canaryKey): {"1"}, strings.ToLower(canaryKey): {"2"}, strings.ToUpper(canaryKey): {"3"},
		}
		return resp, err
	})}))
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	assert.Equal(t, http.Header{"location": {"https://example.com/path"}, "x-timer": {"VS0, VE93"}}, responseError(t, err).Header)
}

func TestShortPasswordInAHeaderIsRedactedIfItIsOneOfTheValues(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusBadRequest, http.Header{"X-Values": {"login", "wrong", "the password is wrong"}}, "")
	c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithoutAuthentication(), noRetry)
	_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Username: canaryLogin, Password: "wrong"})
	assert.Equal(t, "login, [REDACTED], the password is wrong", responseError(t, err).Header.Get("X-Values"))
}

// A program's own tests make such errors by hand.
func TestGenericTokenErrorMadeByHandReadsWell(t *testing.T) {
	t.Parallel()
	limited := &fastly.GenericTokenError{StatusCode: http.StatusTooManyRequests, Method: "POST", Path: "/tokens", RetryAfter: time.Hour}
	assertMatches(t, limited, fastly.ErrRateLimited)
	text := limited.Error()
	at, found := strings.CutPrefix(text, "fastly: POST /tokens: 429 Too Many Requests; the rate limit resets at ")
	require.True(t, found, text)
	at, found = strings.CutSuffix(at, " (in 1h0m0s)")
	require.True(t, found, text)
	reset, err := time.Parse(time.RFC3339, at)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(time.Hour), reset, time.Minute)

	limited.RetryAfter = 0
	limited.RateLimit.Reset = time.Now().Add(time.Hour)
	require.EqualError(t, limited, "fastly: POST /tokens: 429 Too Many Requests", "RetryAfter alone decides")

	for _, status := range []int{400, 401, 403, 404, 422, 429, 503} {
		assertMatches(t, &fastly.GenericTokenError{StatusCode: status}, statusSentinel(status))
	}
	require.EqualError(t, &fastly.GenericTokenError{StatusCode: http.StatusForbidden, Method: "GET", Path: "/tokens"}, "fastly: GET /tokens: 403 Forbidden"+hintForbidden)
	sudo := &fastly.GenericTokenError{StatusCode: http.StatusForbidden, Detail: "POST /sudo"}
	assertMatches(t, sudo, fastly.ErrForbidden, fastly.ErrSudoRequired)
	otp := &fastly.GenericTokenError{StatusCode: http.StatusBadRequest, Code: "2fa.verify"}
	assertMatches(t, otp, fastly.ErrBadRequest, fastly.ErrOTPRequired)

	lost := errors.Join(&fastly.GenericTokenError{StatusCode: http.StatusBadGateway}, fastly.ErrOutcomeUnknown)
	assertMatches(t, lost, fastly.ErrServer, fastly.ErrOutcomeUnknown)
	assert.Equal(t, http.StatusBadGateway, responseError(t, lost).StatusCode)
	page := errors.Join(&fastly.GenericTokenError{StatusCode: http.StatusNonAuthoritativeInfo}, fastly.ErrInvalidResponse)
	assertMatches(t, page, fastly.ErrInvalidResponse)

	require.EqualError(t, &fastly.GenericTokenError{StatusCode: http.StatusNotFound}, "fastly: 404 Not Found")
	missing := &fastly.GenericTokenError{StatusCode: http.StatusNotFound, Msg: "Record not found", Method: "GET", Path: "/tokens/x"}
	require.EqualError(t, missing, "fastly: GET /tokens/x: 404 Record not found")
	assertMatches(t, missing, fastly.ErrNotFound)
}

func TestErrorWithoutAResponseIsNoGenericTokenError(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	srv.Inject(fastlytest.Fault{Kind: fastlytest.CutBefore, Method: http.MethodDelete})
	err := srv.Client(noRetry).Tokens.RevokeToken(t.Context(), someID)
	require.NotErrorAs(t, err, new(*fastly.GenericTokenError))
	assertMatches(t, err)
	assertOneLine(t, err)
	assert.ErrorContains(t, err, "fastly: DELETE /tokens/"+someID+": ")
}

func TestErrorOfAnAPIThatIsNotReachedSaysWhatToCheck(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	for name, dial := range map[string]func() error{
		"refused": func() error { return errConnRefused },
		"not found": func() error {
			return &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}
		},
		"canceled": func() error { cancel(); return errConnRefused },
	} {
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, dial() }}
		c := mustClient(t, quickRetry, fastly.WithAPIKey(someKey), fastly.WithHTTPClient(&http.Client{Transport: transport}))
		callCtx := t.Context()
		if name == "canceled" {
			callCtx = ctx
		}
		for _, op := range operations {
			err := op.do(callCtx, c)
			require.Error(t, err)
			assert.Equal(t, name != "canceled", strings.HasSuffix(err.Error(), " (after 4 attempts)"+hintNetwork), "%s: %v", op.name, err)
			assert.NotErrorIs(t, err, fastly.ErrOutcomeUnknown, op.name)
		}
	}
}

func TestOtherFailuresAreNotSaidToBeTheNetworks(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{errConnRefused, &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}} {
		c := mustClient(t, noRetry, fastly.WithTransport(roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, failure })))
		for _, op := range operations {
			err := op.do(t.Context(), c)
			require.Error(t, err)
			wanted := errors.Is(failure, errConnRefused) && op.kind == fastly.KindRead // a transport that reports nothing may have sent
			assert.Equal(t, wanted, strings.Contains(err.Error(), hintNetwork), "%s: %v", op.name, err)
		}
	}
}

func TestErrorNamesWhatTheTransportReports(t *testing.T) {
	t.Parallel()
	reason := errors.New("the tunnel is down")
	for _, test := range []struct {
		err  error
		text string
	}{
		{io.EOF, "the connection was closed before a response came"},
		{context.DeadlineExceeded, "no response in time"},
		{reason, "the tunnel is down"},
		{fmt.Errorf("fastly: %w", reason), "the tunnel is down"},
		{errors.New("two\nlines\x1b[2J"), `two\nlines\x1b[2J`},
	} {
		c := mustClient(t, noRetry, fastly.WithTransport(roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, test.err })))
		_, err := c.Tokens.GetTokenCurrent(t.Context())
		require.EqualError(t, err, "fastly: GET /tokens/self: "+test.text)
		require.ErrorIs(t, err, test.err)
		_, err = c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: someName})
		require.EqualError(t, err, "fastly: POST /tokens: "+test.text+`; a token may have been created: before you create it again, `+
			`look for the name "deploy" in a list of the user's tokens, and revoke what you find and don't hold`)
		assertMatches(t, err, fastly.ErrOutcomeUnknown)
	}
}

func TestEndedContextSendsNothing(t *testing.T) {
	t.Parallel()
	errBudget := errors.New("budget is spent")
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			srv := newAPI(t)
			c := srv.Client()
			waits := skipWaits(c)
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(errBudget)
			err := op.do(ctx, c)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, errBudget)
			assertMatches(t, err)
			require.EqualError(t, err, "fastly: "+op.method+" "+op.path+": not sent: context canceled")
			assert.Empty(t, srv.Requests())
			assert.Empty(t, waits.all())
		})
	}
}

// TestErrorOfAContextThatEndsWithAResponse cancels a call when its last response
// is there: both are in the error.
func TestErrorOfAContextThatEndsWithAResponse(t *testing.T) {
	t.Parallel()
	errBudget := errors.New("budget is spent")
	for _, op := range operations {
		for _, status := range []int{404, 503} {
			ctx, cancel := context.WithCancelCause(t.Context())
			c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithHTTPClient(&http.Client{Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
				cancel(errBudget)
				return respond(status, `{"msg":"no"}`)(r)
			})}))
			err := op.do(ctx, c)
			want := fmt.Sprintf("fastly: %s %s: context canceled; the last response was %d no", op.method, op.path, status)
			sentinels := []error{statusSentinel(status)}
			switch {
			case status == 404 && op.kind == fastly.KindRevokeBulk:
				want += hintMissing
			case status == 404 || op.kind == fastly.KindRead:
			case op.kind == fastly.KindCreate:
				sentinels = append(sentinels, fastly.ErrOutcomeUnknown)
				want += `; a token may have been created: before you create it again, look for the name "deploy" in a list of the user's tokens, and revoke what you find and don't hold`
			default:
				want += op.hintRevoked()
			}
			require.EqualError(t, err, want)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, errBudget)
			assertMatches(t, err, sentinels...)
			assert.Equal(t, status, responseError(t, err).StatusCode)
		}
	}
}

func TestUntrustedTextIsOneBoundedLine(t *testing.T) {
	t.Parallel()
	shown := func(msg string) string {
		err := fastly.GenericTokenError{StatusCode: http.StatusConflict, Msg: msg, Method: http.MethodGet, Path: "/tokens/self"}
		return strings.TrimPrefix(err.Error(), "fastly: GET /tokens/self: 409 ")
	}
	for given, want := range map[string]string{
		"":                 "Conflict",
		"plain text":       "plain text",
		"naïve 日本 🎉":       "naïve 日本 🎉",
		"a\nb\r\tc":        `a\nb\r\tc`,
		"\x1b]0;title\x07": `\x1b]0;title\a`,
		"\x00\x7f":         `\x00\x7f`,
		"\u202eabc\u2028d": `\u202eabc\u2028d`,
		"caf\xe9":          "caf\ufffd",
		`it's \ "quoted"`:  `it's \ "quoted"`,
	} {
		assert.Equal(t, want, shown(given))
	}
	assert.Equal(t, strings.Repeat("x", 1024), shown(strings.Repeat("x", 1024)), "as much as is allowed")
	long := shown(strings.Repeat("日", 1024))
	assert.LessOrEqual(t, len(long), 1024)
	assert.Equal(t, strings.Repeat("日", 340)+"…", long)
}

func TestHostileTextIsSanitizedWhereverItStands(t *testing.T) {
	t.Parallel()
	for name, attack := range map[string]string{
		"terminal":           "\x1b[31mred\x1b]0;title\x07\x9b2J",
		"forged line":        "no\nlevel=INFO msg=\"token revoked\"\r\n",
		"line separators":    "no\u2028next\u2029next\u0085next\v\f",
		"bidi":               "\u202egnp.exe\u2066\u2069\u200f",
		"invisible":          "\u200b\ufeff\u00ad\U000e0041",
		"null and backspace": "a\x00b\b\b\bc\x7f",
		"not UTF-8":          "\xff\xfe\xc0\xaf",
		"long":               strings.Repeat("spam ", 20000),
		"long and escaped":   strings.Repeat("\x1b", 20000),
	} {
		for _, form := range []string{"text", "msg", "detail", "code", "title", "errors", "html", "location"} {
			if form == "location" && (strings.ContainsAny(attack, "\r\n\x00") || len(attack) > 10000) {
				continue // no header can carry it
			}
			t.Run(name+" as "+form, func(t *testing.T) {
				t.Parallel()
				header, status := http.Header{}, http.StatusBadRequest
				body := attack
				switch form {
				case "msg", "detail", "code", "title":
					body = `{"` + form + `":` + quoteBytes(attack) + `}`
				case "errors":
					body = `{"errors":[{"title":` + quoteBytes(attack) + `,"detail":` + quoteBytes(attack) + `,"code":` + quoteBytes(attack) + `}]}`
				case "html":
					body = "<html><title>" + attack + "</title></html>"
				case "location":
					header.Set("Location", "https://"+url.PathEscape(attack)+".example/")
					status = http.StatusFound
				}
				srv := newStub(t, status, header, body)
				_, err := srv.client(t).Tokens.GetTokenCurrent(t.Context())
				require.Error(t, err)
				assertOneLine(t, err)
			})
		}
	}
}

// quoteBytes is s as a JSON string, invalid UTF-8 included.
func quoteBytes(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\u%04x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}

func TestForeignTextThatWasCutSaysSo(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"Please wait while we check": ": 403 Please wait while we check…" + hintForeign,
		`{"message":"Forb`:           `: 403 {"message":"Forb…` + hintForeign,
		`{"msg":"You are not auth`:   ": 403 You are not auth…" + hintForbidden,
		"<title>Blocked</title><p>":  ": 403 Blocked" + hintForeign,
		"<html><title>Attention Req": ": 403 Attention Req…" + hintForeign,
		"<html><title":               ": 403 Forbidden" + hintForeign,
	} {
		srv := newStub(t, http.StatusForbidden, http.Header{"Content-Length": {"1000"}}, body)
		_, err := srv.client(t).Tokens.GetToken(t.Context(), someID)
		require.EqualError(t, err, "fastly: GET /tokens/"+someID+want)
	}
	long := newStub(t, http.StatusForbidden, nil, strings.Repeat("long ", 20<<10))
	_, err := long.client(t).Tokens.GetTokenCurrent(t.Context())
	require.ErrorContains(t, err, "…"+hintForeign)
}

// All or none: a repeat of what was processed looks like a request of which nothing was.
func TestBulkRevokeThatMayHaveBeenProcessedIsNotToBeRepeated(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	ids := []string{srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{}).ID, srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{}).ID}
	srv.Inject(fastlytest.Fault{Kind: fastlytest.StatusAfter, Foreign: true, Status: http.StatusForbidden, Method: http.MethodDelete})
	err := srv.Client().Tokens.BulkRevokeTokens(t.Context(), ids)
	assertMatches(t, err, fastly.ErrInvalidResponse)
	require.ErrorContains(t, err, bulkRevokeTokens.hintRevoked())
	err = srv.Client().Tokens.BulkRevokeTokens(t.Context(), ids)
	assertMatches(t, err, fastly.ErrNotFound)
	require.EqualError(t, err, "fastly: DELETE /tokens: 404 Record not found: Cannot load token"+hintMissing)
}

// It has logged in: to be told to do so would lead nowhere.
func TestLoginThatIsAskedForSudoIsNotToldToLogIn(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusForbidden, nil, sudoJSON)
	_, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Username: "jane", Password: "something long"})
	assertMatches(t, err, fastly.ErrForbidden, fastly.ErrSudoRequired)
	assert.NotContains(t, err.Error(), "create with a user name")
	assert.ErrorContains(t, err, "; a login should need no confirmation: use an API key after POST /sudo")
}

func TestHeadersThatAskForASetUpLeadToHints(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ value, hint string }{
		"Fastly-SSO-Login-Url": {"https://sso.example/login?SAMLRequest=secret", "; the user logs in by single sign-on: create a token in the Fastly web interface"},
		"Fastly-OTP":           {"Setup", "; set up two-factor authentication in the Fastly web interface first"},
		"Fastly-Password":      {"rotate", "; set a new password in the Fastly web interface first"},
	} {
		for _, status := range []int{400, 401, 403} {
			for _, body := range []string{`{"msg":"Provided credentials are missing or invalid"}`, ""} {
				srv := newStub(t, status, http.Header{name: {test.value}}, body)
				_, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Username: "jane", Password: "something long"})
				require.ErrorContains(t, err, test.hint, "%s: %d", name, status)
				assert.NotContains(t, fmt.Sprintf("%v %v", err, responseError(t, err).Header), "SAMLRequest")
				assert.NotContains(t, err.Error(), hintCredentials)
			}
		}
	}
	srv := newStub(t, http.StatusUnauthorized, http.Header{"Fastly-OTP": {"required"}, "Fastly-Password": {""}}, `{"msg":"no"}`)
	_, err := srv.client(t).Tokens.GetTokenCurrent(t.Context())
	require.EqualError(t, err, "fastly: GET /tokens/self: 401 no"+hintCredentials)
}

// Other programs show the hints, which know nothing of this one's identifiers.
func TestHintsNameNoGoIdentifiers(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		sudoJSON, `{"msg":"2fa.verify"}`, `{"code":"invalid_scope","msg":"no"}`, `{"code":"account_locked","msg":"no"}`, `{"code":"invalid_grant","msg":"no"}`,
		`{"msg":"expired at noon"}`, `{"msg":"no"}`, "", `{"id":"x"}`,
	} {
		for _, status := range []int{200, 302, 400, 401, 403, 404, 429, 502} {
			srv := newStub(t, status, http.Header{"Location": {"https://portal.example/"}, "Retry-After": {"1000"}}, body)
			for _, auth := range []fastly.Option{fastly.WithAPIKey(someKey), fastly.WithBasicAuth("jane", "something")} {
				c := mustClient(t, fastly.WithBaseURL(srv.URL), auth, quickRetry)
				for _, op := range operations {
					err := op.do(t.Context(), c)
					if err == nil {
						continue
					}
					assert.NotRegexp(t, `\b[A-Za-z]+[a-z][A-Z]|\bOTP\b|Username|Password\b|\bErr`, strings.ReplaceAll(err.Error(), someID, ""))
				}
			}
		}
	}
}

func TestHTTPSToAPlainHTTPPortSaysSo(t *testing.T) {
	t.Parallel()
	plain := newStub(t, http.StatusOK, nil, tokenJSON)
	for _, op := range operations {
		c := mustClient(t, fastly.WithAPIKey(someKey), quickRetry, fastly.WithBaseURL("https://"+hostOf(t, plain.URL)))
		err := op.do(t.Context(), c)
		assertMatches(t, err)
		assert.EqualError(t, err, "fastly: "+op.method+" "+op.path+": the server does not speak TLS (is it plain http?)"+hintNetwork)
		c = mustClient(t, fastly.WithTransport(roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, http.ErrSchemeMismatch })))
		err = op.do(t.Context(), c)
		assertMatches(t, err)
		assert.ErrorContains(t, err, "is it plain http?")
	}
	assert.Empty(t, plain.requests())
}
