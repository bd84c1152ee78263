package fastly

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode"
)

const defaultHost = "api.fastly.com"

// credential authenticates one request: a header, and the secrets in it; the zero value is none.
type credential struct {
	header  http.Header
	secrets secrets
	changes changes
}

// changes says when a credential may become another one, as far as a RevokeTokenCurrent sees it.
type changes int

const (
	changesNever      changes = iota
	changesPerCall            // of a function, which such a call asks once
	changesPerAttempt         // of a caller's transport, which does as it likes
)

func keyCredential(key Secret) (credential, error) {
	if key == "" {
		return credential{}, invalid("the API key is empty")
	}
	if flaw := flawOfKey(key.Reveal()); flaw != "" {
		return credential{}, invalid("the API key %s", flaw)
	}
	return credential{header: http.Header{"Fastly-Key": {key.Reveal()}}, secrets: secrets{}.with(minToken, key)}, nil
}

// ask calls a function of the caller's. Its error does not show the secret that came with it.
func ask(ctx context.Context, what string, f func(context.Context) (Secret, error)) (Secret, error) {
	secret, err := f(ctx)
	if err != nil {
		return "", fmt.Errorf("fastly: the %s function failed: %w", what, redactError(err, secrets{}.with(minToken, secret)))
	}
	return secret, nil
}

func askKey(ctx context.Context, f func(context.Context) (Secret, error)) (credential, error) {
	key, err := ask(ctx, "key", f)
	if err != nil {
		return credential{}, err
	}
	cred, err := keyCredential(key)
	cred.changes = changesPerCall
	return cred, err
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
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/
type APIKeyTransport struct {
	Key Secret // the API key, used if KeyFunc is nil; if empty, requests fail
	// KeyFunc is called for each request, with its context, and must be safe for concurrent use.
	// Its error fails the request.
	KeyFunc func(context.Context) (Secret, error)
	// Host is the only host[:port] that gets the key. Empty means api.fastly.com; no port means the
	// default port of the scheme.
	Host string
	Base http.RoundTripper // sends the requests; nil means [http.DefaultTransport]
}

// RoundTrip implements [http.RoundTripper]. An error about a key that a header can't carry matches
// [ErrInvalidArgument].
func (t *APIKeyTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return sendAuthenticated(req, t.Host, t.Base, func(ctx context.Context) (credential, error) {
		if t.KeyFunc != nil {
			return askKey(ctx, t.KeyFunc)
		}
		return keyCredential(t.Key)
	})
}

// CloseIdleConnections closes the idle connections of Base, as an [http.Client] wants to.
func (t *APIKeyTransport) CloseIdleConnections() { closeIdle(cmp.Or(t.Base, http.DefaultTransport)) }

// BasicAuthTransport is like [APIKeyTransport], but adds a user name and password as HTTP Basic
// authentication (RFC 7617). The API accepts these for [TokensService.CreateToken] only.
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#create-token
type BasicAuthTransport struct {
	// Username and Password are those of a Fastly user. The request fails if either is empty or
	// Username contains a colon.
	Username string
	Password Secret
	// Host and Base are as in [APIKeyTransport].
	Host string
	Base http.RoundTripper
}

// RoundTrip implements [http.RoundTripper]. An error about a user name or password that can't be
// sent matches [ErrInvalidArgument].
func (t *BasicAuthTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return sendAuthenticated(req, t.Host, t.Base, func(context.Context) (credential, error) {
		return basicCredential(t.Username, t.Password)
	})
}

// CloseIdleConnections closes the idle connections of Base, as an [http.Client] wants to.
func (t *BasicAuthTransport) CloseIdleConnections() {
	closeIdle(cmp.Or(t.Base, http.DefaultTransport))
}

// sendAuthenticated sends a copy of req with a credential through base. As an http.RoundTripper must, it
// does not modify req and closes its body on any error.
func sendAuthenticated(req *http.Request, host string, base http.RoundTripper, obtain func(context.Context) (credential, error)) (*http.Response, error) {
	base = cmp.Or(base, http.DefaultTransport)
	cred, err := obtainFor(req, cmp.Or(host, defaultHost), base, obtain)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, &rejectedError{err}
	}
	sent := req.WithContext(req.Context())
	if sent.Header = req.Header.Clone(); sent.Header == nil {
		sent.Header = http.Header{}
	}
	maps.Copy(sent.Header, cred.header)
	resp, err := roundTrip(base, sent)
	if err != nil {
		return nil, redactError(err, cred.secrets)
	}
	// As net/http does. A Client reads the credential from here to redact it.
	resp.Request = sent
	return resp, nil
}

// obtainFor obtains a credential for req, if it may be sent with it.
func obtainFor(req *http.Request, host string, base http.RoundTripper, obtain func(context.Context) (credential, error)) (credential, error) {
	if err := checkOrigin(req, host); err != nil {
		return credential{}, err
	}
	if err := checkTLS(base); err != nil {
		return credential{}, err
	}
	return obtain(req.Context())
}

// rejectedError is the error of a request that a transport rejects before it is sent.
type rejectedError struct{ err error }

func (e *rejectedError) Error() string { return e.err.Error() }
func (e *rejectedError) Unwrap() error { return e.err }

// checkOrigin returns an error if req goes anywhere but to host.
func checkOrigin(req *http.Request, host string) error {
	var reason string
	u := req.URL
	switch {
	case u == nil:
		return fmt.Errorf("fastly: the request has no URL")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		reason = "plain http would show the credentials to anyone on the network path"
	case u.Scheme == "http" && fromHTTPS(req.Response):
		reason = "it is a redirect from https to plain http"
	case u.Scheme != "http" && u.Scheme != "https":
		reason = "its scheme is not https"
	case canonicalHost(u.Host, u.Scheme) != canonicalHost(host, u.Scheme):
		reason = "the credentials are for " + host + " only"
	default:
		return nil
	}
	return fmt.Errorf("fastly: request to %s rejected: %s", sanitize(req.URL.Host), reason)
}

// fromHTTPS reports whether resp, the redirect that caused a request, came over https.
func fromHTTPS(resp *http.Response) bool {
	return resp != nil && resp.Request != nil && resp.Request.URL != nil && resp.Request.URL.Scheme == "https"
}

// canonicalHost returns host:port in lower case, with the scheme's default port.
func canonicalHost(host, scheme string) string {
	u := url.URL{Host: host}
	port := u.Port()
	if port == "" && scheme == "https" {
		port = "443"
	} else if port == "" {
		port = "80"
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

func isLoopback(hostname string) bool {
	addr, err := netip.ParseAddr(hostname)
	return strings.EqualFold(hostname, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// flawOfKey says why a value can't be an API key or a one-time password; "" if it can.
func flawOfKey(value string) string {
	flaw := flawOf(value)
	if flaw == "" && !isVisible(value) {
		return "holds a character that an HTTP header can't carry"
	}
	return flaw
}

// flawOf says what a value brought along from a file, a variable or a clipboard.
func flawOf(value string) string {
	const quotes = "\"'`"
	switch {
	case strings.Contains(value, redacted):
		return "is " + redacted + ", as a hidden secret prints: reveal the secret"
	case hasByteOrderMark(value):
		return "begins with a byte order mark: save it as UTF-8 without one"
	case strings.ContainsFunc(value, unicode.IsSpace):
		return "holds white space or a line break"
	case value != strings.Trim(value, quotes):
		return "has quotes around it: leave them out"
	}
	return ""
}

// hasByteOrderMark finds those of UTF-8 and UTF-16.
func hasByteOrderMark(value string) bool {
	return strings.HasPrefix(value, "\ufeff") || strings.HasPrefix(value, "\xff\xfe") || strings.HasPrefix(value, "\xfe\xff")
}

// checkOTP accepts an empty one: none is sent.
func checkOTP(otp Secret) error {
	if flaw := flawOfKey(otp.Reveal()); flaw != "" {
		return invalid("the OTP %s", flaw)
	}
	return nil
}

// checkLogin rejects what neither a form nor HTTP Basic should carry.
func checkLogin(username string, password Secret) error {
	if err := checkLoginPart("user name", username); err != nil {
		return err
	}
	return checkLoginPart("password", password.Reveal())
}

// checkLoginPart allows quotes and spaces, which are legal.
func checkLoginPart(what, value string) error {
	switch {
	case value == "":
		return invalid("the %s is empty", what)
	case value == redacted:
		return invalid("the %s is %s, as a hidden secret prints: reveal the secret", what, redacted)
	case hasByteOrderMark(value):
		return invalid("the %s begins with a byte order mark: save it as UTF-8 without one", what)
	case strings.ContainsFunc(value, unicode.IsControl):
		return invalid("the %s holds a control character (a line break at its end?)", what)
	}
	return nil
}

// isVisible reports whether s is all VCHAR (RFC 9110, section 5.5).
func isVisible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
