package fastly_test

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fastly-tokens/fastly"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var allSentinels = map[string]error{
	"ErrBadRequest":         fastly.ErrBadRequest,
	"ErrUnauthorized":       fastly.ErrUnauthorized,
	"ErrForbidden":          fastly.ErrForbidden,
	"ErrNotFound":           fastly.ErrNotFound,
	"ErrUnprocessable":      fastly.ErrUnprocessable,
	"ErrRateLimited":        fastly.ErrRateLimited,
	"ErrServer":             fastly.ErrServer,
	"ErrOTPRequired":        fastly.ErrOTPRequired,
	"ErrInvalidCredentials": fastly.ErrInvalidCredentials,
	"ErrInvalidScope":       fastly.ErrInvalidScope,
	"ErrAccountLocked":      fastly.ErrAccountLocked,
	"ErrSudoRequired":       fastly.ErrSudoRequired,
	"ErrTokenExpired":       fastly.ErrTokenExpired,
	"ErrInvalidArgument":    fastly.ErrInvalidArgument,
	"ErrInvalidResponse":    fastly.ErrInvalidResponse,
	"ErrOutcomeUnknown":     fastly.ErrOutcomeUnknown,
}

// assertMatches checks that err matches the wanted sentinels and no other.
func assertMatches(t testing.TB, err error, want ...error) {
	t.Helper()
	var wanted, got []string
	for name, sentinel := range allSentinels {
		if slices.Contains(want, sentinel) {
			wanted = append(wanted, name)
		}
		if errors.Is(err, sentinel) {
			got = append(got, name)
		}
	}
	assert.ElementsMatch(t, wanted, got, "sentinels of %v", err)
}

// statusSentinel is the error that a status matches, if there is one.
func statusSentinel(status int) error {
	switch status {
	case http.StatusBadRequest:
		return fastly.ErrBadRequest
	case http.StatusUnauthorized:
		return fastly.ErrUnauthorized
	case http.StatusForbidden:
		return fastly.ErrForbidden
	case http.StatusNotFound:
		return fastly.ErrNotFound
	case http.StatusUnprocessableEntity:
		return fastly.ErrUnprocessable
	case http.StatusTooManyRequests:
		return fastly.ErrRateLimited
	}
	if status >= 500 {
		return fastly.ErrServer
	}
	return nil
}

func TestSentinelsAreDistinct(t *testing.T) {
	t.Parallel()
	names := slices.Sorted(maps.Keys(allSentinels))
	assert.Len(t, names, 16)
	for _, name := range names {
		assertMatches(t, allSentinels[name], allSentinels[name])
		assert.NotEmpty(t, allSentinels[name].Error(), name)
	}
}

func TestErrServerMatchesEachServerError(t *testing.T) {
	t.Parallel()
	for _, status := range []int{499, 500, 599, 600} {
		err := &fastly.GenericTokenError{StatusCode: status}
		assert.Equal(t, status/100 == 5, errors.Is(err, fastly.ErrServer), status)
	}
}

func TestMessageAndDetailAreNotOneText(t *testing.T) {
	t.Parallel()
	err := &fastly.GenericTokenError{StatusCode: http.StatusUnauthorized, Msg: "Expired ", Detail: "at last"}
	require.NotErrorIs(t, err, fastly.ErrTokenExpired)
	err.Msg = "Expired at last"
	require.ErrorIs(t, err, fastly.ErrTokenExpired)
}

func TestTextAboutOneTimePasswordsNeedsNoCode(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"msg":"Invalid one-time password"}`, `{"msg":"Bad request","detail":"INVALID ONE-TIME PASSWORD, again"}`, `{"title":"Invalid one-time password"}`,
	} {
		_, err := newStub(t, http.StatusBadRequest, nil, body).client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
		assertMatches(t, err, fastly.ErrBadRequest, fastly.ErrOTPRequired)
		require.ErrorContains(t, err, hintOTP)
	}
}

// Gateways send title and errors, too: that gives text and sentinels, but no proof.
func TestSharedFormsGiveSentinels(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"title":"no"}`, `{"errors":["no"]}`, `{"errors":[{"detail":"no"}]}`, `{"title":"no","errors":[]}`, `{"errors":[{"title":"no"}],"x":`} {
		for _, status := range []int{400, 401, 403, 404, 422} {
			for _, op := range operations {
				err := op.do(t.Context(), newStub(t, status, nil, body).client(t))
				assertMatches(t, err, statusSentinel(status))
				assert.ErrorContains(t, err, strconv.Itoa(status)+" no")
			}
		}
	}
}

// foreignBodies are what load balancers, firewalls, proxies and gateways send.
var foreignBodies = map[string]string{
	"nothing":           "",
	"nginx":             "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>nginx</body></html>",
	"ingress":           "default backend - 404",
	"firewall":          "<!DOCTYPE html><title>Attention Required!</title><p>Sorry, you have been blocked",
	"gateway":           `{"message":"Forbidden"}`,
	"problem of no API": `{"type":"about:blank","status":404}`,
	"API of another":    `{"error":{"code":404,"message":"not found"}}`,
	"framework":         `{"detail":"Not Found"}`,
	"array":             `[{"msg":"Record not found"}]`,
	"null msg":          `{"msg":null,"title":"","errors":[{},null,""]}`,
	"JSON in HTML":      `<pre>{"msg":"Record not found"}</pre>`,
	"words of the API":  "POST /sudo: credentials are missing or invalid; expired at noon; invalid one-time password",
}

func TestForeignClientErrorSaysNothingAboutATokenOrKey(t *testing.T) {
	t.Parallel()
	for name, body := range foreignBodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, status := range []int{400, 401, 403, 404, 407, 410, 418, 422, 451} {
				srv := newStub(t, status, http.Header{"Content-Type": {typeJSON}}, body)
				c := srv.client(t, quickRetry)
				for _, op := range operations {
					err := op.do(t.Context(), c)
					want := []error{fastly.ErrInvalidResponse}
					if op.kind == fastly.KindCreate && status != 407 {
						want = append(want, fastly.ErrOutcomeUnknown)
					}
					assertMatches(t, err, want...)
					assert.Equal(t, status, responseError(t, err).StatusCode)
					require.ErrorContains(t, err, hintForeign)
					assert.NotContains(t, err.Error(), hintForbidden)
					assert.NotContains(t, err.Error(), hintCredentials)
					assert.Equal(t, op.method == http.MethodDelete && status != 407, strings.Contains(err.Error(), op.hintRevoked()), err)
					assertOneLine(t, err)
				}
				assert.Len(t, srv.requests(), len(operations), "none is retried")
			}
		})
	}
}

// A 408, 429 or 5xx says what to do, whoever sent it.
func TestStatusDecidesWhereTheBodyIsForeign(t *testing.T) {
	t.Parallel()
	for name, body := range foreignBodies {
		for status, sentinel := range map[int]error{408: fastly.ErrServer, 429: fastly.ErrRateLimited, 500: fastly.ErrServer, 501: fastly.ErrServer, 503: fastly.ErrServer, 511: fastly.ErrServer} {
			_, err := newStub(t, status, nil, body).client(t).Tokens.GetTokenCurrent(t.Context())
			assertMatches(t, err, sentinel)
			assert.NotContains(t, err.Error(), hintForeign, name)
			assert.Equal(t, status, responseError(t, err).StatusCode)
		}
	}
}

func TestRedirectIsNotTheAPIs(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		srv := newStub(t, http.StatusFound, http.Header{"Location": {"https://portal.example/login"}}, "<html>")
		assertMatches(t, op.do(t.Context(), srv.client(t)), fastly.ErrInvalidResponse)
	}
}
