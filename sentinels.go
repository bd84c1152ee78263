package fastly

import (
	"errors"
	"net/http"
	"strings"
)

// Sentinels for [errors.Is], by StatusCode of a [*GenericTokenError]. Those of a 4xx, except 408
// and 429, match only a response in one of the API's forms; any other matches [ErrInvalidResponse].
var (
	ErrBadRequest    = errors.New("fastly: bad request")           // 400
	ErrUnauthorized  = errors.New("fastly: unauthorized")          // 401
	ErrForbidden     = errors.New("fastly: forbidden")             // 403
	ErrNotFound      = errors.New("fastly: not found")             // 404
	ErrUnprocessable = errors.New("fastly: unprocessable content") // 422
	ErrRateLimited   = errors.New("fastly: rate limited")          // 429
	ErrServer        = errors.New("fastly: server error")          // 5xx, and 408
)

// Sentinels by the Code or Msg, or by the text of Msg and Detail, of a response in one of the API's
// forms. The error also matches the one of its status.
var (
	// 2fa.verify, or the text says "invalid one-time password". See OTP of [CreateTokenRequest].
	ErrOTPRequired = errors.New("fastly: one-time password required")
	// invalid_grant, or the text says "credentials are missing or invalid".
	ErrInvalidCredentials = errors.New("fastly: invalid credentials")
	// invalid_scope: the API does not know it. See [ScopeGlobal].
	ErrInvalidScope = errors.New("fastly: invalid scope")
	// account_locked, usually after failed logins.
	ErrAccountLocked = errors.New("fastly: account locked")
	// The text says "POST /sudo", which must confirm an API key. A login needs none.
	ErrSudoRequired = errors.New("fastly: password confirmation required")
	// A 401 whose text says "expired at": the API token has expired.
	ErrTokenExpired = errors.New("fastly: token expired")
)

// ErrInvalidResponse is matched by a response that is not the API's, such as a page of a proxy,
// firewall or portal, which says nothing about a token; and by a 2xx that can't be what it should
// be. A response that was cut off does not match, nor does a 408, 429 or 5xx.
var ErrInvalidResponse = errors.New("the response is not what the API sends")

// ErrInvalidArgument is matched by errors about an option or argument. No request was sent with it.
var ErrInvalidArgument = errors.New("invalid argument")

// ErrOutcomeUnknown is matched by the error of a call that may have been processed, if repeating it
// is unsafe or proves nothing. A create may have left a token that nobody holds: before creating it
// again, look for its name with [TokensService.ListTokensUser]. After a revoke, list what is left.
// A revoke that failed otherwise is safe to repeat; if it was processed, a bulk one is then a 404.
var ErrOutcomeUnknown = errors.New("fastly: outcome unknown")

// Is reports whether target is a sentinel of this error: that of its status, that of its code or
// text, [ErrInvalidResponse] or [ErrOutcomeUnknown].
func (e *GenericTokenError) Is(target error) bool {
	if target == ErrOutcomeUnknown {
		return e.call.unknown
	}
	return target == e.statusSentinel() || target == e.findMeaning().sentinel
}

func (e *GenericTokenError) statusSentinel() error {
	switch {
	case e.StatusCode/100 == 5, e.StatusCode == http.StatusRequestTimeout:
		return ErrServer
	case e.StatusCode == http.StatusTooManyRequests:
		return ErrRateLimited
	case e.foreign:
		return ErrInvalidResponse
	}
	return statusSentinels[e.StatusCode]
}

var statusSentinels = map[int]error{
	http.StatusBadRequest:          ErrBadRequest,
	http.StatusUnauthorized:        ErrUnauthorized,
	http.StatusForbidden:           ErrForbidden,
	http.StatusNotFound:            ErrNotFound,
	http.StatusUnprocessableEntity: ErrUnprocessable,
}

// meaning is what a response says by its code, which may be in Msg, or else by its text, which is
// in lower case here. A status other than zero must be the response's.
type meaning struct {
	sentinel   error
	code, text string
	status     int
	hint       string
}

var meanings = []meaning{{
	sentinel: ErrInvalidScope, code: "invalid_scope",
	hint: "use one of the scopes global, purge_select, purge_all and global:read",
}, {
	sentinel: ErrAccountLocked, code: "account_locked",
	hint: "reset the user's password in the Fastly web interface",
}, {
	sentinel: ErrOTPRequired, code: "2fa.verify", text: "invalid one-time password",
	hint: "send the account's current one-time password, or the next one if that was used already",
}, {
	sentinel: ErrSudoRequired, text: "post /sudo",
	hint: "confirm the API key by POST /sudo first",
}, {
	sentinel: ErrTokenExpired, text: "expired at", status: http.StatusUnauthorized,
	hint: "use another API token: this one has expired",
}, {
	sentinel: ErrInvalidCredentials, code: "invalid_grant", text: "credentials are missing or invalid",
	hint: notAccepted,
}}

// findMeaning returns the meaning of a response in one of the API's forms, or else the zero value.
func (e *GenericTokenError) findMeaning() meaning {
	if e.foreign || e.meaning.sentinel != nil {
		return e.meaning
	}
	text := strings.ToLower(e.Msg + "\n" + e.Detail)
	for _, m := range meanings {
		hasCode := m.code != "" && (m.code == e.Code || m.code == e.Msg)
		hasText := m.text != "" && strings.Contains(text, m.text)
		if (hasCode || hasText) && (m.status == 0 || m.status == e.StatusCode) {
			return m
		}
	}
	return meaning{}
}
