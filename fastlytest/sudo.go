package fastlytest

import (
	"encoding/json"
	"net/http"
	"time"
)

// sudoPeriod is how long POST /sudo confirms a token.
const sudoPeriod = 5 * time.Minute

// confirmPassword is POST /sudo: with the user's password, it confirms the token
// that authenticates the request.
func (st *state) confirmPassword(c *call) (response, *problem) {
	if p := st.authenticate(c, accessWrite); p != nil {
		return response{}, p
	}
	if c.user == nil { // a guess: an automation token has no password
		return response{}, errForbidden
	}
	fields, p := parseSudo(c.header, c.body)
	if p != nil {
		return response{}, p
	}
	if fields["password"] == "" {
		return response{}, reject("invalid_request", "A password is needed")
	}
	until := toSecond(c.now.Add(sudoPeriod))
	if text := fields["expiry_time"]; text != "" {
		at, ok := parseTime(text)
		if !ok || !at.After(c.now) {
			return response{}, newProblem(http.StatusBadRequest, "expiry_time must be an RFC 3339 time in the future")
		}
		until = at
	}
	p = login{fields["username"], fields["password"]}.checkUser(c.user)
	if p == errGrant {
		return response{}, errSudoPassword
	}
	if p != nil {
		return response{}, p
	}
	c.key.SudoExpiresAt = until
	return jsonResponse(map[string]string{"expiry_time": until.Format("2006-01-02T15:04:05+00:00")}), nil
}

// parseSudo reads a JSON object or a form. It ignores other fields: clients send
// those of the create that follows.
func parseSudo(h http.Header, body []byte) (fields map[string]string, p *problem) {
	names := []string{"username", "password", "expiry_time"}
	fields = map[string]string{}
	if _, ok := mediaType(h, "application/json"); ok {
		var object map[string]any
		if json.Unmarshal(body, &object) != nil {
			return nil, newProblem(http.StatusBadRequest, "The body is not a JSON object")
		}
		for _, name := range names {
			text, ok := object[name].(string)
			if object[name] != nil && !ok {
				return nil, newProblem(http.StatusBadRequest, "The field "+name+" is not a string")
			}
			fields[name] = text
		}
		return fields, nil
	}
	form, p := parseForm(h, body)
	for _, name := range names {
		fields[name] = form.Get(name)
	}
	return fields, p
}
