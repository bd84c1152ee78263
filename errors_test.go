package fastly_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
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
	sayOTP         = "; send the account's current one-time password in CreateTokenRequest.OTP"
	saySudo        = "; the account wants its password again: confirm it in the Fastly web interface, and try again"
	sayScope       = "; use ScopeGlobal, ScopePurgeSelect, ScopePurgeAll or ScopeGlobalRead"
	sayLocked      = "; unlock the account in the Fastly web interface, or wait, before another login"
	sayCredentials = "; check that the credentials are right, and neither expired nor revoked"
	sayForbidden   = "; use a token whose scope and user may do this"
)

const (
	typeJSON = "application/json"
	typeText = "text/plain; charset=utf-8"
	typeHTML = "text/html; charset=utf-8"
)

// errorAnswers are answers that are not a 2xx, in every shape of body, with the
// error each becomes.
var errorAnswers = map[string]struct {
	status            int
	contentType, body string
	msg, detail, code string
	is                []error
	text              string // of the error, after the path
}{
	// The API's own shape.
	"msg": {
		400, typeJSON, `{"msg":"Bad request"}`, "Bad request", "", "",
		[]error{fastly.ErrBadRequest}, "400 Bad request",
	},
	"msg and detail": {
		404, typeJSON, `{"msg":"Record not found","detail":"Cannot load token"}`, "Record not found", "Cannot load token", "",
		[]error{fastly.ErrNotFound}, "404 Record not found: Cannot load token",
	},
	"msg, detail and code": {
		422, typeJSON, `{"msg":"Invalid","detail":"expires_at","code":"invalid_expiry"}`, "Invalid", "expires_at", "invalid_expiry",
		[]error{fastly.ErrUnprocessable}, "422 Invalid: expires_at (invalid_expiry)",
	},
	"detail alone": {
		400, typeJSON, `{"detail":"No such service"}`, "", "No such service", "",
		[]error{fastly.ErrBadRequest}, "400 No such service",
	},
	"detail that repeats msg": {
		400, typeJSON, `{"msg":"No such service","detail":"No such service"}`, "No such service", "No such service", "",
		[]error{fastly.ErrBadRequest}, "400 No such service",
	},
	"code alone": {
		400, typeJSON, `{"code":"odd"}`, "", "", "odd",
		[]error{fastly.ErrBadRequest}, "400 Bad Request (odd)",
	},
	"missing credentials": {
		401, typeJSON, `{"msg":"Provided credentials are missing or invalid"}`, "Provided credentials are missing or invalid", "", "",
		[]error{fastly.ErrUnauthorized, fastly.ErrInvalidCredentials}, "401 Provided credentials are missing or invalid" + sayCredentials,
	},
	"another 401": {
		401, typeJSON, `{"msg":"Token expired"}`, "Token expired", "", "",
		[]error{fastly.ErrUnauthorized}, "401 Token expired" + sayCredentials,
	},
	"not authorized": {
		403, typeJSON, `{"msg":"You are not authorized to perform this action"}`, "You are not authorized to perform this action", "", "",
		[]error{fastly.ErrForbidden}, "403 You are not authorized to perform this action" + sayForbidden,
	},
	"sudo": {
		403, typeJSON, `{"msg":"You must POST /sudo to access this endpoint"}`, "You must POST /sudo to access this endpoint", "", "",
		[]error{fastly.ErrForbidden, fastly.ErrSudoRequired}, "403 You must POST /sudo to access this endpoint" + saySudo,
	},
	"one-time password": {
		400, typeJSON, `{"msg":"Bad request","code":"2fa.verify"}`, "Bad request", "", "2fa.verify",
		[]error{fastly.ErrBadRequest, fastly.ErrOTPRequired}, "400 Bad request (2fa.verify)" + sayOTP,
	},
	"one-time password in msg": {
		401, typeJSON, `{"msg":"2fa.verify"}`, "2fa.verify", "", "",
		[]error{fastly.ErrUnauthorized, fastly.ErrOTPRequired}, "401 2fa.verify" + sayOTP,
	},
	"one-time password in both": {
		403, typeJSON, `{"msg":"2fa.verify","code":"2fa.verify"}`, "2fa.verify", "", "2fa.verify",
		[]error{fastly.ErrForbidden, fastly.ErrOTPRequired}, "403 2fa.verify" + sayOTP,
	},
	"wrong password": {
		400, typeJSON, `{"msg":"Bad request","code":"invalid_grant"}`, "Bad request", "", "invalid_grant",
		[]error{fastly.ErrBadRequest, fastly.ErrInvalidCredentials}, "400 Bad request (invalid_grant)" + sayCredentials,
	},
	"no password": {
		400, typeJSON, `{"msg":"Bad request","code":"invalid_request"}`, "Bad request", "", "invalid_request",
		[]error{fastly.ErrBadRequest}, "400 Bad request (invalid_request)",
	},
	"unknown scope": {
		400, typeJSON, `{"msg":"Bad request","detail":"bad scope","code":"invalid_scope"}`, "Bad request", "bad scope", "invalid_scope",
		[]error{fastly.ErrBadRequest, fastly.ErrInvalidScope}, "400 Bad request: bad scope (invalid_scope)" + sayScope,
	},
	"locked": {
		400, typeJSON, `{"msg":"Bad request","code":"account_locked"}`, "Bad request", "", "account_locked",
		[]error{fastly.ErrBadRequest, fastly.ErrAccountLocked}, "400 Bad request (account_locked)" + sayLocked,
	},
	"code that only looks known": {
		400, typeJSON, `{"msg":"the scope invalid_scope","detail":"2fa.verify","code":"INVALID_SCOPE"}`, "the scope invalid_scope", "2fa.verify", "INVALID_SCOPE",
		[]error{fastly.ErrBadRequest}, "400 the scope invalid_scope: 2fa.verify (INVALID_SCOPE)",
	},
	"rate limit": {
		429, typeJSON, `{"msg":"You have exceeded your hourly rate limit"}`, "You have exceeded your hourly rate limit", "", "",
		[]error{fastly.ErrRateLimited}, "429 You have exceeded your hourly rate limit",
	},
	"server error": {
		500, typeJSON, `{"msg":"Internal error"}`, "Internal error", "", "",
		[]error{fastly.ErrServer}, "500 Internal error",
	},

	// The body decides, not its type.
	"JSON as text": {
		404, typeText, `{"msg":"Record not found","detail":"Cannot load token"}`, "Record not found", "Cannot load token", "",
		[]error{fastly.ErrNotFound}, "404 Record not found: Cannot load token",
	},
	"JSON of no type": {
		404, "", ` {"msg":"Record not found"}` + "\r\n", "Record not found", "", "",
		[]error{fastly.ErrNotFound}, "404 Record not found",
	},
	"text as JSON": {
		400, typeJSON, "Bad Request\n", "Bad Request", "", "",
		[]error{fastly.ErrBadRequest}, "400 Bad Request",
	},

	// Other shapes met behind the same host.
	"text": {
		503, typeText, "  upstream connect error\n", "upstream connect error", "", "",
		[]error{fastly.ErrServer}, "503 upstream connect error",
	},
	"JSON:API": {
		403, "application/vnd.api+json", `{"errors":[{"title":"Forbidden","detail":"No access to it","code":"forbidden"},{"title":"Second"}]}`, "Forbidden", "No access to it", "forbidden",
		[]error{fastly.ErrForbidden}, "403 Forbidden: No access to it (forbidden)" + sayForbidden,
	},
	"JSON:API with a known code": {
		400, "application/vnd.api+json", `{"errors":[{"title":"Bad request","code":"2fa.verify"}]}`, "Bad request", "", "2fa.verify",
		[]error{fastly.ErrBadRequest, fastly.ErrOTPRequired}, "400 Bad request (2fa.verify)" + sayOTP,
	},
	"JSON:API without errors": {
		400, "application/vnd.api+json", `{"errors":[]}`, "", "", "",
		[]error{fastly.ErrBadRequest}, `400 {"errors":[]}`,
	},
	"RFC 9457": {
		400, "application/problem+json", `{"type":"about:blank","title":"Bad Request","detail":"expires_at is odd","status":400}`, "Bad Request", "expires_at is odd", "",
		[]error{fastly.ErrBadRequest}, "400 Bad Request: expires_at is odd",
	},
	"RFC 9457, status of its own": {
		502, "application/problem+json", `{"title":"Not here","status":404}`, "Not here", "", "",
		[]error{fastly.ErrServer}, "502 Not here",
	},
	"HTML": {
		502, typeHTML, "<!DOCTYPE html>\n<html><head><title>502 Bad\n Gateway &amp; co</title></head><body><h1>Sorry</h1></body></html>", "502 Bad Gateway & co", "", "",
		[]error{fastly.ErrServer}, "502 502 Bad Gateway & co",
	},
	"HTML, upper case": {
		503, typeHTML, `<HTML><TITLE lang="en">Guru Meditation</TITLE></HTML>`, "Guru Meditation", "", "",
		[]error{fastly.ErrServer}, "503 Guru Meditation",
	},
	"HTML without title": {
		502, typeHTML, "<html><body>\nSorry\n</body></html>", "", "", "",
		[]error{fastly.ErrServer}, "502 Bad Gateway",
	},
	"HTML cut in its title": {
		502, typeHTML, "<html><title>502 Bad", "", "", "",
		[]error{fastly.ErrServer}, "502 Bad Gateway",
	},

	// Nothing, and odd things.
	"empty": {
		401, typeJSON, "", "", "", "",
		[]error{fastly.ErrUnauthorized}, "401 Unauthorized" + sayCredentials,
	},
	"white space": {
		404, typeJSON, " \r\n\t", "", "", "",
		[]error{fastly.ErrNotFound}, "404 Not Found",
	},
	"empty, of a status without a name": {
		599, "", "", "", "", "",
		[]error{fastly.ErrServer}, "599 (no reason given)",
	},
	"empty object": {
		400, typeJSON, `{}`, "", "", "",
		[]error{fastly.ErrBadRequest}, "400 {}",
	},
	"nulls": {
		400, typeJSON, `{"msg":null,"detail":null,"code":null}`, "", "", "",
		[]error{fastly.ErrBadRequest}, `400 {"msg":null,"detail":null,"code":null}`,
	},
	"numbers": {
		400, typeJSON, `{"msg":"Bad request","code":1234}`, "Bad request", "", "1234",
		[]error{fastly.ErrBadRequest}, "400 Bad request (1234)",
	},
	"objects where text belongs": {
		400, typeJSON, `{"msg":{"en":"Bad"},"detail":["Bad request"],"code":true}`, "", "", "",
		[]error{fastly.ErrBadRequest}, `400 {"msg":{"en":"Bad"},"detail":["Bad request"],"code":true}`,
	},
	"members twice": {
		404, typeJSON, `{"msg":"Record not found","msg":"Record not found"}`, "Record not found", "", "",
		[]error{fastly.ErrNotFound}, "404 Record not found",
	},
	"JSON cut short": {
		404, typeJSON, `{"msg":"Record not found","detail":"Cannot lo`, "Record not found", "", "",
		[]error{fastly.ErrNotFound}, "404 Record not found",
	},
	"array": {
		400, typeJSON, `["Bad request"]`, `["Bad request"]`, "", "",
		[]error{fastly.ErrBadRequest}, `400 ["Bad request"]`,
	},
	"control characters": {
		400, typeJSON, `{"msg":"one\r\ntwo\u001b[31m\u202e"}`, "one\r\ntwo\x1b[31m\u202e", "", "",
		[]error{fastly.ErrBadRequest}, `400 one\r\ntwo\x1b[31m\u202e`,
	},
	"not UTF-8": {
		400, typeText, "caf\xe9", "caf\xe9", "", "",
		[]error{fastly.ErrBadRequest}, "400 caf\ufffd",
	},

	// Statuses without a sentinel of their own.
	"payment":         {402, "", "", "", "", "", nil, "402 Payment Required"},
	"conflict":        {409, typeJSON, `{"msg":"Conflict"}`, "Conflict", "", "", nil, "409 Conflict"},
	"teapot":          {418, "", "", "", "", "", nil, "418 I'm a teapot"},
	"unknown":         {499, typeText, "gone", "gone", "", "", nil, "499 gone"},
	"not modified":    {304, "", "", "", "", "", nil, "304 Not Modified"},
	"not implemented": {501, "", "", "", "", "", []error{fastly.ErrServer}, "501 Not Implemented"},
	"timeout":         {504, "", "", "", "", "", []error{fastly.ErrServer}, "504 Gateway Timeout"},
}

func TestEveryErrorAnswerBecomesATypedError(t *testing.T) {
	t.Parallel()
	for name, answer := range errorAnswers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Content-Type": nil} // no guessing by net/http
			if answer.contentType != "" {
				header.Set("Content-Type", answer.contentType)
			}
			srv := newStub(t, answer.status, header, answer.body)
			token, err := srv.client(t).Tokens.GetToken(t.Context(), someID)
			assert.Nil(t, token)
			got := answerOf(t, err)
			assert.Equal(t, answer.status, got.StatusCode)
			assert.Equal(t, answer.msg, got.Msg, "Msg")
			assert.Equal(t, answer.detail, got.Detail, "Detail")
			assert.Equal(t, answer.code, got.Code, "Code")
			assert.Equal(t, answer.body, got.Body, "Body")
			assert.Equal(t, http.MethodGet, got.Method)
			assert.Equal(t, "/tokens/"+someID, got.Path)
			assert.Zero(t, got.RetryAfter)
			assert.Zero(t, got.RateLimit)
			assertMatches(t, err, answer.is...)
			assertOneLine(t, err)
			require.EqualError(t, err, "fastly: GET /tokens/"+someID+": "+answer.text)

			wrapped := fmt.Errorf("deploy: %w", err)
			assertMatches(t, wrapped, answer.is...)
			assert.Same(t, got, answerOf(t, wrapped))
		})
	}
}

func TestEveryMethodReportsEveryStatus(t *testing.T) {
	t.Parallel()
	sentinels := map[int]error{
		400: fastly.ErrBadRequest, 401: fastly.ErrUnauthorized, 403: fastly.ErrForbidden, 404: fastly.ErrNotFound,
		422: fastly.ErrUnprocessable, 429: fastly.ErrRateLimited, 500: fastly.ErrServer, 502: fastly.ErrServer,
		503: fastly.ErrServer, 504: fastly.ErrServer, 409: nil, 300: nil,
	}
	for _, m := range tokensMethods {
		for status, sentinel := range sentinels {
			t.Run(m.name+" "+strconv.Itoa(status), func(t *testing.T) {
				t.Parallel()
				srv := newAPI(t)
				srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: status, Body: `{"msg":"no","detail":"not today","code":"x1"}`})
				err := m.call(t.Context(), srv.Client(never))
				got := answerOf(t, err)
				assert.Equal(t, &fastly.GenericTokenError{
					StatusCode: status, Msg: "no", Detail: "not today", Code: "x1", Method: m.verb, Path: m.path,
					Body: `{"msg":"no","detail":"not today","code":"x1"}`,
				}, exported(got))
				want := []error{sentinel}
				if m.name == "CreateToken" && status >= 500 {
					want = append(want, fastly.ErrOutcomeUnknown)
				}
				assertMatches(t, err, want...)
				require.ErrorContains(t, err, fmt.Sprintf("fastly: %s %s: %d no: not today (x1)", m.verb, m.path, status))
				assertOneLine(t, err)
				assert.Len(t, srv.Requests(), 1)
			})
		}
	}
}

// exported is e with the fields that a caller sees.
func exported(e *fastly.GenericTokenError) *fastly.GenericTokenError {
	return &fastly.GenericTokenError{
		StatusCode: e.StatusCode, Msg: e.Msg, Detail: e.Detail, Code: e.Code, Method: e.Method, Path: e.Path,
		RateLimit: e.RateLimit, RetryAfter: e.RetryAfter, Body: e.Body,
	}
}

func TestCreateAnsweredByAServerErrorSaysWhatToLookFor(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusBadGateway, nil, "<html><title>Bad Gateway</title></html>")
	_, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: "deploy\n2"})
	assertMatches(t, err, fastly.ErrServer, fastly.ErrOutcomeUnknown)
	assert.EqualError(t, err, `fastly: POST /tokens: 502 Bad Gateway; a token may have been created: before you create it again, look for the name "deploy\n2" with ListTokensUser, and revoke what you find and don't hold`)
}

func TestErrorBodyIsBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 1<<20)
	for name, body := range map[string]string{
		"text": long,
		"JSON": `{"msg":"` + long + `","detail":"` + long + `"}`,
		"HTML": "<title>" + long[:4<<10] + "</title>" + long,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusBadRequest, nil, body)
			_, err := srv.client(t).Tokens.GetToken(t.Context(), someID)
			got := answerOf(t, err)
			assert.Equal(t, body[:64<<10], got.Body)
			assert.LessOrEqual(t, len(got.Msg), 64<<10)
			assertMatches(t, err, fastly.ErrBadRequest)
			assert.Less(t, len(err.Error()), 1<<10+100)
			assert.Contains(t, err.Error(), "…")
			assertOneLine(t, err)
		})
	}
}

func TestErrorBodyThatBreaksOffIsKept(t *testing.T) {
	t.Parallel()
	const whole = `{"msg":"Record not found","detail":"Cannot load token"}`
	srv := newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(whole[:40]))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	_, err := srv.client(t).Tokens.GetToken(t.Context(), someID)
	assertMatches(t, err, fastly.ErrNotFound)
	got := answerOf(t, err)
	assert.Equal(t, whole[:40], got.Body)
	assert.Equal(t, "Record not found", got.Msg)
}

func TestRateLimitErrorSaysWhenItResets(t *testing.T) {
	t.Parallel()
	reset := time.Now().Add(40 * time.Minute).Truncate(time.Second)
	limit := func(retryAfter string) http.Header {
		h := http.Header{}
		h.Set("Fastly-RateLimit-Remaining", "0")
		h.Set("Fastly-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
		if retryAfter != "" {
			h.Set("Retry-After", retryAfter)
		}
		return h
	}
	stamp := reset.UTC().Format(time.RFC3339)
	for name, test := range map[string]struct {
		status int
		header http.Header
		says   string // a pattern, of the end
	}{
		"reset":                      {429, limit(""), `; the rate limit resets at ` + stamp + ` \(in (40m0s|3\dm\d+s)\)`},
		"earlier Retry-After":        {429, limit("1"), `; the rate limit resets at ` + stamp + ` \(in (40m0s|3\dm\d+s)\)`},
		"later Retry-After":          {429, limit("7200"), `; the rate limit resets at \S+Z \(in 2h0m0s\)`},
		"Retry-After alone":          {429, http.Header{"Retry-After": {"90"}}, `; the rate limit resets at \S+Z \(in 1m30s\)`},
		"neither":                    {429, nil, `429 slow down`},
		"server busy":                {503, http.Header{"Retry-After": {"90"}}, `503 slow down; come back at \S+Z \(in 1m30s\); it may have been carried out all the same; revoking again is safe`},
		"Retry-After on other codes": {404, http.Header{"Retry-After": {"90"}}, `404 slow down`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, test.status, test.header, "slow down")
			err := srv.client(t).Tokens.RevokeToken(t.Context(), someID)
			require.Error(t, err)
			assert.Regexp(t, test.says+"$", err.Error())
			assertOneLine(t, err)
			got := answerOf(t, err)
			if test.header.Get("Fastly-RateLimit-Reset") != "" {
				assert.Equal(t, fastly.RateLimit{Remaining: 0, Reset: reset}, got.RateLimit)
			} else {
				assert.Zero(t, got.RateLimit)
			}
		})
	}
}

func TestPastResetIsNotAnnounced(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	h.Set("Fastly-RateLimit-Remaining", "0")
	h.Set("Fastly-RateLimit-Reset", "1610625600")
	err := newStub(t, http.StatusTooManyRequests, h, "slow down").client(t).Tokens.RevokeToken(t.Context(), someID)
	require.EqualError(t, err, "fastly: DELETE /tokens/"+someID+": 429 slow down")
	assert.Equal(t, time.Unix(1610625600, 0), answerOf(t, err).RateLimit.Reset)
}

func TestRetryAfterOfAnAnswer(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for name, test := range map[string]struct {
		value    string
		min, max time.Duration
	}{
		"seconds":      {"120", 2 * time.Minute, 2 * time.Minute},
		"HTTP date":    {at(10 * time.Minute), 9 * time.Minute, 10 * time.Minute},
		"date gone by": {at(-10 * time.Minute), 0, 0},
		"unreadable":   {"soon", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusServiceUnavailable, http.Header{"Retry-After": {test.value}}, "")
			_, err := srv.client(t).Tokens.GetTokenCurrent(t.Context())
			got := answerOf(t, err).RetryAfter
			assert.GreaterOrEqual(t, got, test.min)
			assert.LessOrEqual(t, got, test.max)
		})
	}
}

func TestRetryAfterHeaderIsSecondsOrADate(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 5, 6, 7, 8, 9, 0, time.UTC)
	const year = 365 * 24 * time.Hour
	for value, want := range map[string]time.Duration{
		"":                               0,
		"0":                              0,
		"1":                              time.Second,
		"3600":                           time.Hour,
		"-1":                             0,
		"1.5":                            0,
		"18446744073709551615":           year,
		"18446744073709551616":           0, // beyond what can be read
		"Mon, 06 May 2030 07:08:39 GMT":  30 * time.Second,
		"Monday, 06-May-30 07:08:39 GMT": 30 * time.Second, // RFC 850
		"Mon May  6 07:08:39 2030":       30 * time.Second, // asctime
		"Mon, 06 May 2030 07:08:09 GMT":  0,
		"Mon, 06 May 2019 07:08:09 GMT":  0,
		"Tue, 06 May 9999 07:08:09 GMT":  year,
		"2030-05-06T07:08:39Z":           0,
	} {
		assert.Equal(t, want, fastly.RetryAfterHeader(value, now), "Retry-After: %s", value)
	}
}

func TestForeignTextIsOneBoundedLine(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"":                 "",
		"plain text":       "plain text",
		"naïve 日本 🎉":       "naïve 日本 🎉",
		"a\nb\r\tc":        `a\nb\r\tc`,
		"\x1b]0;title\x07": `\x1b]0;title\a`,
		"\x00\x7f":         `\x00\x7f`,
		"\u202eabc\u2028":  `\u202eabc\u2028`,
		"caf\xe9":          "caf\ufffd",
		`it's \ "quoted"`:  `it's \ "quoted"`,
	} {
		assert.Equal(t, want, fastly.OneLine(given))
	}
	assert.Equal(t, strings.Repeat("x", 1024), fastly.OneLine(strings.Repeat("x", 1024)), "as much as is allowed")
	long := fastly.OneLine(strings.Repeat("日", 1024))
	assert.LessOrEqual(t, len(long), 1024)
	assert.Equal(t, strings.Repeat("日", 340)+"…", long)
}

func TestTextIsCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "日本", fastly.CutText("日本", 6))
	assert.Equal(t, "日", fastly.CutText("日本", 5))
	assert.Equal(t, "日", fastly.CutText("日本", 3))
	assert.Empty(t, fastly.CutText("日本", 2))
	assert.Empty(t, fastly.CutText("日本", 0))
}

// A program's own tests make such errors by hand.
func TestGenericTokenErrorMadeByHandReadsWell(t *testing.T) {
	t.Parallel()
	reset := time.Now().Add(time.Hour).Truncate(time.Second)
	limited := &fastly.GenericTokenError{
		StatusCode: http.StatusTooManyRequests, Method: "POST", Path: "/tokens", RateLimit: fastly.RateLimit{Reset: reset},
	}
	assert.Regexp(t, `^fastly: POST /tokens: 429 Too Many Requests; the rate limit resets at `+
		reset.UTC().Format(time.RFC3339)+` \(in (1h0m0s|59m5\ds)\)$`, limited.Error())
	assertMatches(t, limited, fastly.ErrRateLimited)

	missing := &fastly.GenericTokenError{StatusCode: http.StatusNotFound, Msg: "Record not found", Method: "GET", Path: "/tokens/x"}
	require.EqualError(t, missing, "fastly: GET /tokens/x: 404 Record not found")
	assertMatches(t, missing, fastly.ErrNotFound)
}

func TestAnErrorWithoutAnAnswerIsNoGenericTokenError(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	srv.Inject(fastlytest.Fault{Kind: fastlytest.CutBefore, Method: http.MethodDelete})
	err := srv.Client(never).Tokens.RevokeToken(t.Context(), someID)
	require.Error(t, err)
	require.NotErrorAs(t, err, new(*fastly.GenericTokenError))
	assertMatches(t, err)
	assertOneLine(t, err)
	assert.ErrorContains(t, err, "fastly: DELETE /tokens/"+someID+": ")
}

func TestAnswerThatIsNotTheAPIs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ body, says string }{
		"a login page": {"<html>Please log in</html>", "the answer is not what the API sends"},
		"nothing":      {"", "it is empty"},
		"a list":       {"[]", "it is not a JSON object"},
		"no token":     {"{}", "it has no token ID"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newStub(t, http.StatusOK, nil, test.body).client(t).Tokens.GetToken(t.Context(), someID)
			require.ErrorContains(t, err, "fastly: GET /tokens/"+someID+": ")
			require.ErrorContains(t, err, test.says)
			assertMatches(t, err)
			assertOneLine(t, err)
		})
	}
}

func TestSentinelsAreDistinct(t *testing.T) {
	t.Parallel()
	names := slices.Sorted(maps.Keys(allSentinels))
	assert.Len(t, names, 14)
	for _, name := range names {
		assertMatches(t, allSentinels[name], allSentinels[name])
		assert.NotEmpty(t, allSentinels[name].Error(), name)
	}
}

func TestEndedContextSendsNothing(t *testing.T) {
	t.Parallel()
	errBudget := errors.New("budget is spent")
	for _, m := range tokensMethods {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			srv := newAPI(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(errBudget)
			err := m.call(ctx, srv.Client(never))
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, errBudget)
			assertMatches(t, err)
			require.EqualError(t, err, "fastly: "+m.verb+" "+m.path+": not sent: context canceled")
			assert.Empty(t, srv.Requests())
		})
	}
}
