package fastlytest

import (
	"fmt"
	"net/http"
	"time"
)

// problem is a response that rejects a request, in the API's JSON.
type problem struct {
	Status int    `json:"-"`
	Msg    string `json:"msg"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code,omitempty"`
}

var (
	errUnauthorized     = newProblem(http.StatusUnauthorized, "")
	errOtherCredentials = newProblem(http.StatusUnauthorized, "A login in the form takes no Authorization and no Cookie header beside it")
	errForbidden        = newProblem(http.StatusForbidden, "")
	errReadOnly         = &problem{Status: http.StatusForbidden, Msg: "Read only tokens are not allowed to access this endpoint."}
	errPurgeToken       = &problem{Status: http.StatusForbidden, Msg: "Access denied to purge token"}
	errSudo             = &problem{Status: http.StatusForbidden, Msg: "You must POST /sudo to access this endpoint"}
	errSudoPassword     = newProblem(http.StatusForbidden, "The username or password is wrong")
	errNoToken          = newProblem(http.StatusNotFound, "Cannot load token")
	errRateLimited      = newProblem(http.StatusTooManyRequests, "")
	errGrant            = reject("invalid_grant", "The username or password is wrong")
	errLocked           = reject("account_locked", "The account is locked")
	errScope            = reject("invalid_scope", "The scope is unknown")
	// Some clients look for the code in msg, others in code, and scripts for the text.
	errOTP = &problem{
		Status: http.StatusBadRequest,
		Msg:    "2fa.verify",
		Detail: "Invalid one-time password: send a valid one in the Fastly-OTP header",
		Code:   "2fa.verify",
	}
	errTooMany = &problem{
		Status: http.StatusBadRequest,
		Msg:    "Exceeding max number of tokens",
		Detail: "A user can have at most 100 active tokens",
	}
)

// messages are those of the API that differ from the name of the status.
var messages = map[int]string{
	http.StatusBadRequest:          "Bad request",
	http.StatusUnauthorized:        "Provided credentials are missing or invalid",
	http.StatusForbidden:           "You are not authorized to perform this action",
	http.StatusNotFound:            "Record not found",
	http.StatusUnprocessableEntity: "Invalid value for expires_at",
	http.StatusTooManyRequests:     "You have exceeded your hourly rate limit. Please contact support@fastly.com if you think this is a mistake.",
}

func newProblem(status int, detail string) *problem {
	msg := messages[status]
	if msg == "" {
		msg = http.StatusText(status)
	}
	return &problem{Status: status, Msg: msg, Detail: detail}
}

// reject returns a 400 with one of the API's codes.
func reject(code, detail string) *problem {
	p := newProblem(http.StatusBadRequest, detail)
	p.Code = code
	return p
}

func expiredKey(t *token) *problem {
	msg := fmt.Sprintf("Token %s expired at %s", t.ID, t.ExpiresAt.Format(time.RFC3339))
	return &problem{Status: http.StatusUnauthorized, Msg: msg}
}

func (p *problem) response() response {
	resp := jsonResponse(p)
	resp.status = p.Status
	return resp
}
