package fastly

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"unicode"

	"github.com/fastly-tokens/fastly/internal/origin"
	"github.com/fastly-tokens/fastly/internal/terminal"
	"github.com/fastly-tokens/fastly/internal/tolerant"
)

const defaultHost = "api.fastly.com"

// credential authenticates one request: a header, and the secrets in it; the zero value is none.
type credential struct {
	header  http.Header
	secrets secrets
	changes changes
}

// changes says when a RevokeTokenCurrent may be sent with another credential.
type changes int

const (
	changesNever      changes = iota
	changesPerCall            // a function of the caller's, asked once for a call, returns it
	changesPerAttempt         // a transport of the caller's adds it
)

// same is an obtain that returns c for every request.
func (c credential) same(context.Context) (credential, error) { return c, nil }

func keyCredential(key Secret, changes changes) (credential, error) {
	if err := checkText("the API key", key.Reveal(), false); err != nil {
		return credential{}, err
	}
	return credential{http.Header{"Fastly-Key": {key.Reveal()}}, secrets{}.with(minToken, key), changes}, nil
}

func askKey(ctx context.Context, f func(context.Context) (Secret, error)) (credential, error) {
	key, err := ask(ctx, "key", f)
	if err != nil {
		return credential{}, err
	}
	return keyCredential(key, changesPerCall)
}

// ask calls a function of the caller's. Its error does not show the secret that came with it.
func ask(ctx context.Context, what string, f func(context.Context) (Secret, error)) (Secret, error) {
	secret, err := f(ctx)
	if err != nil {
		err = redactError(err, secrets{}.with(minToken, secret))
		text := "fastly: the " + what + " function failed: " + strings.TrimPrefix(err.Error(), "fastly: ")
		return "", &requestError{text: text, err: err}
	}
	return secret, nil
}

func basicCredential(username string, password Secret) (credential, error) {
	if err := checkLogin(username, password); err != nil {
		return credential{}, err
	}
	if strings.Contains(username, ":") { // RFC 7617, section 2
		return credential{}, invalid("the user name holds a colon, which HTTP Basic authentication can't carry")
	}
	pair := base64.StdEncoding.EncodeToString([]byte(username + ":" + password.Reveal()))
	return credential{
		header:  http.Header{"Authorization": {"Basic " + pair}},
		secrets: secrets{}.withAuthorization(pair).with(minPassword, password),
	}, nil
}

// withSent adds the secrets that a caller's transport sent, as far as resp.Request shows them.
func (s secrets) withSent(resp *http.Response) secrets {
	if resp.Request == nil {
		return s
	}
	_, value, _ := strings.Cut(resp.Request.Header.Get("Authorization"), " ")
	_, password, _ := resp.Request.BasicAuth()
	return s.with(minToken, Secret(resp.Request.Header.Get("Fastly-Key"))).withAuthorization(value).with(minPassword, Secret(password))
}

// APIKeyTransport is an [http.RoundTripper], for any [http.Client], that adds an API key to
// requests as the Fastly-Key header. A request to an origin other than Host fails, even on
// redirect, and so does one over plain http unless the host is loopback. It is safe for concurrent
// use as long as its fields do not change.
type APIKeyTransport struct {
	Key Secret // the API key, used if KeyFunc is nil; if empty, requests fail
	// KeyFunc is called for each request, with its context (but not its trace), and must be safe for
	// concurrent use. Its error fails the request.
	KeyFunc func(context.Context) (Secret, error)
	Host    string            // host[:port], which alone gets the key; empty means api.fastly.com
	Base    http.RoundTripper // sends the requests; nil means [http.DefaultTransport]
}

// RoundTrip implements [http.RoundTripper]. The error for a bad key matches [ErrInvalidArgument].
func (t *APIKeyTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return sendAuthenticated(req, t.Host, t.Base, func(ctx context.Context) (credential, error) {
		if t.KeyFunc != nil {
			return askKey(ctx, t.KeyFunc)
		}
		return keyCredential(t.Key, changesNever)
	})
}

// CloseIdleConnections closes those of Base; an [http.Client] calls it.
func (t *APIKeyTransport) CloseIdleConnections() { closeIdle(t.Base) }

// BasicAuthTransport is like [APIKeyTransport], but adds a user name and password as HTTP Basic
// authentication (RFC 7617), for [TokensService.CreateToken] (documented) and nothing else (assumed).
type BasicAuthTransport struct {
	Username string            // of a Fastly user; not empty, and without a colon
	Password Secret            // not empty
	Host     string            // as in [APIKeyTransport]
	Base     http.RoundTripper // as in [APIKeyTransport]
}

// RoundTrip implements [http.RoundTripper]. The error for a bad login matches [ErrInvalidArgument].
func (t *BasicAuthTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return sendAuthenticated(req, t.Host, t.Base, func(context.Context) (credential, error) {
		return basicCredential(t.Username, t.Password)
	})
}

// CloseIdleConnections closes those of Base; an [http.Client] calls it.
func (t *BasicAuthTransport) CloseIdleConnections() { closeIdle(t.Base) }

// sendAuthenticated sends a copy of req with a credential through base. As an http.RoundTripper must,
// it does not modify req and closes its body on any error.
func sendAuthenticated(req *http.Request, host string, base http.RoundTripper, obtain func(context.Context) (credential, error)) (*http.Response, error) {
	base = cmp.Or(base, http.DefaultTransport)
	err := checkOrigin(req, cmp.Or(host, defaultHost))
	if err == nil {
		err = checkTLS(base)
	}
	var cred credential
	if err == nil {
		cred, err = obtain(untraced{req.Context()}) // the key may come by another request
	}
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, &rejectedError{err}
	}
	sent := req.WithContext(req.Context())
	sent.Header = req.Header.Clone()
	if sent.Header == nil {
		sent.Header = http.Header{}
	}
	maps.Copy(sent.Header, cred.header)
	resp, err := tolerant.RoundTrip(base, sent)
	if err != nil {
		return nil, redactError(err, cred.secrets)
	}
	resp.Request = sent // as net/http does; a Client reads the credential from here to redact it
	return resp, nil
}

// rejectedError is the error of a request that a transport rejects before it is sent.
type rejectedError struct{ err error }

func (e *rejectedError) Error() string { return e.err.Error() }
func (e *rejectedError) Unwrap() error { return e.err }

// checkOrigin returns an error if req goes anywhere but to host.
func checkOrigin(req *http.Request, host string) error {
	u := req.URL
	var why string
	switch {
	case u == nil:
		return errors.New("fastly: the request has no URL")
	case u.Scheme == "http" && !origin.IsLoopback(u.Hostname()):
		why = "plain http would show the credentials to anyone on the network path"
	case u.Scheme == "http" && origin.IsHTTPS(req.Response):
		why = "it is a redirect from https to plain http"
	case u.Scheme != "http" && u.Scheme != "https":
		why = "its scheme is not https"
	case origin.Host(u.Host, u.Scheme) != origin.Host(host, u.Scheme):
		why = "the credentials are for " + host + " only"
	default:
		return nil
	}
	return fmt.Errorf("fastly: request to %s rejected: %s", terminal.Line(u.Host), why)
}

func checkLogin(username string, password Secret) error {
	if err := checkText("the user name", username, true); err != nil {
		return err
	}
	return checkText("the password", password.Reveal(), true)
}

// checkText rejects what can't be a credential, or a base URL. Quotes and spaces are legal in a login.
func checkText(what, value string, isLogin bool) error {
	switch {
	case value == "":
		return invalid("%s is empty", what)
	case value == redacted:
		return invalid("%s is %s, as a hidden secret prints: reveal the secret", what, redacted)
	case strings.HasPrefix(value, "\ufeff"), strings.HasPrefix(value, "\xff\xfe"), strings.HasPrefix(value, "\xfe\xff"):
		return invalid("%s begins with a byte order mark: save it as UTF-8 without one", what)
	case strings.ContainsFunc(value, unicode.IsControl):
		return invalid("%s holds a control character (a line break at its end?)", what)
	case isLogin:
		return nil
	case !isVisible(value):
		return invalid("%s holds white space or another character that does not belong there", what)
	case value != strings.Trim(value, "\"'`"):
		return invalid("%s has quotes around it: leave them out", what)
	}
	return nil
}

// isVisible reports whether s is all VCHAR (RFC 9110, section 5.5).
func isVisible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
