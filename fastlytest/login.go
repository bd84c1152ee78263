package fastlytest

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// login is the user name and password of a request; zero if it has none.
type login struct{ name, password string }

// checkUser rejects another user's login, and a wrong password. Empty fields are
// not checked.
func (l login) checkUser(u *user) *problem {
	if l.name != "" && l.name != u.Login {
		return errGrant
	}
	if l.password == "" {
		return nil
	}
	return u.checkPassword(l.password)
}

// basicLogin returns the login of HTTP Basic authentication. An empty pair counts
// as none: generated clients send it with every create.
func basicLogin(h http.Header) (login, *problem) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		if len(values) > 1 {
			return login{}, errUnauthorized
		}
		return login{}, nil
	}
	scheme, encoded, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Basic") {
		return login{}, nil
	}
	pair, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return login{}, reject("invalid_request", "The Authorization header is not valid")
	}
	// RFC 7617 section 2: the first colon ends the user name.
	name, password, _ := strings.Cut(string(pair), ":")
	return login{name, password}, nil
}

// hasOtherScheme reports whether the request has an Authorization header that
// is not HTTP Basic.
func hasOtherScheme(h http.Header) bool {
	scheme, _, _ := strings.Cut(h.Get("Authorization"), " ")
	return scheme != "" && !strings.EqualFold(scheme, "Basic")
}
