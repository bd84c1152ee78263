package fastly

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
)

// Sentinels for [errors.Is], by StatusCode of a [*GenericTokenError]. Those of a 4xx but for 408 and
// 429 match only a response in one of the API's forms; any other matches [ErrInvalidResponse].
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
	// A 401 whose text says "expired at": the API key has expired.
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
// A revoke that failed otherwise is safe to repeat, even if it was processed.
var ErrOutcomeUnknown = errors.New("fastly: outcome unknown")

// Is reports whether target is a sentinel of this error: that of its status, that of its code or
// text, [ErrInvalidResponse] or [ErrOutcomeUnknown].
func (e *GenericTokenError) Is(target error) bool {
	switch target {
	case ErrOutcomeUnknown:
		return e.call.unknown
	case ErrInvalidResponse:
		return e.isForeign()
	case ErrServer:
		return e.StatusCode/100 == 5 || e.StatusCode == http.StatusRequestTimeout
	case ErrRateLimited:
		return e.StatusCode == http.StatusTooManyRequests
	}
	return target == e.sentinel() || target == statusSentinels[e.StatusCode] && e.form != formForeign
}

// isForeign reports whether something other than the API answered, and the status does not say what
// to do all the same.
func (e *GenericTokenError) isForeign() bool {
	return e.form == formForeign && !e.Is(ErrServer) && !e.Is(ErrRateLimited)
}

var statusSentinels = map[int]error{
	http.StatusBadRequest:          ErrBadRequest,
	http.StatusUnauthorized:        ErrUnauthorized,
	http.StatusForbidden:           ErrForbidden,
	http.StatusNotFound:            ErrNotFound,
	http.StatusUnprocessableEntity: ErrUnprocessable,
}

var codeSentinels = map[string]error{
	"2fa.verify":     ErrOTPRequired,
	"invalid_grant":  ErrInvalidCredentials,
	"invalid_scope":  ErrInvalidScope,
	"account_locked": ErrAccountLocked,
}

// sentinel returns the error that the body means, or nil. Msg may hold the code.
func (e *GenericTokenError) sentinel() error {
	if e.form != formUnknown {
		return e.meaning
	}
	if err := cmp.Or(codeSentinels[e.Code], codeSentinels[e.Msg]); err != nil {
		return err
	}
	text := strings.ToLower(e.message())
	switch {
	case strings.Contains(text, "invalid one-time password"):
		return ErrOTPRequired
	case strings.Contains(text, "post /sudo"):
		return ErrSudoRequired
	case e.StatusCode == http.StatusUnauthorized && strings.Contains(text, "expired at"):
		return ErrTokenExpired
	case strings.Contains(text, "credentials are missing or invalid"):
		return ErrInvalidCredentials
	}
	return nil
}
