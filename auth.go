package fastly

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

const defaultHost = "api.fastly.com"

// APIKeyTransport is an [http.RoundTripper] that adds an API token to requests
// as the Fastly-Key header. It can be used without a [Client], under any
// [http.Client].
//
// A request to any other origin than Host's, wherever it comes from (a
// redirect, say), is not sent at all: it ends in an error that names the host.
// So is a plain http request to a host that is not loopback. Requests are not
// modified, and the transport is safe for concurrent use once its fields are
// set.
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/
type APIKeyTransport struct {
	// Key is the API token. Used if KeyFunc is nil. Empty, it fails the request.
	Key Secret
	// KeyFunc, if not nil, is called for each request with its context, by
	// many goroutines at a time. Its error fails the request. The attempts of
	// one [TokensService.RevokeTokenCurrent] share a key.
	KeyFunc func(context.Context) (Secret, error)
	// Host is the only host[:port] that is sent the key. Empty means
	// api.fastly.com; no port means that of the request's scheme.
	Host string
	// Base sends the requests. Nil means [http.DefaultTransport].
	Base http.RoundTripper

	plainHTTP bool // for WithInsecurePlainHTTP alone
	checked   bool // the TLS settings of Base, by a Client
}

// RoundTrip implements [http.RoundTripper]. The error for a key that no header can
// carry matches [ErrInvalidArgument].
func (t *APIKeyTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := admit(req, t.Host, t.plainHTTP); err != nil {
		return refuse(req, err)
	}
	key := t.Key
	if t.KeyFunc != nil {
		var err error
		if key, err = askKey(req, t.KeyFunc); err != nil {
			return refuse(req, fmt.Errorf("fastly: the key function failed: %w", hideError(err, key.Reveal())))
		}
	}
	if err := checkKey(key.Reveal()); err != nil {
		return refuse(req, err)
	}
	return sendWith(t.Base, t.checked, req, "Fastly-Key", key.Reveal(), key.Reveal())
}

// BasicAuthTransport is an [http.RoundTripper] that adds a user name and
// password to requests as HTTP Basic authentication (RFC 7617), which the API
// takes for [TokensService.CreateToken]. In all else it is like
// [APIKeyTransport].
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#create-token
type BasicAuthTransport struct {
	// Username and Password are those of a Fastly user. Either one empty, or a
	// colon in the Username, fails the request.
	Username string
	Password Secret
	// Host is the only host[:port] that is sent the password. Empty means
	// api.fastly.com; no port means that of the request's scheme.
	Host string
	// Base sends the requests. Nil means [http.DefaultTransport].
	Base http.RoundTripper

	plainHTTP bool // for WithInsecurePlainHTTP alone
	checked   bool // the TLS settings of Base, by a Client
}

// RoundTrip implements [http.RoundTripper]. The error for a user name or password
// that can't be sent matches [ErrInvalidArgument].
func (t *BasicAuthTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := admit(req, t.Host, t.plainHTTP); err != nil {
		return refuse(req, err)
	}
	if err := checkLogin(t.Username, t.Password.Reveal()); err != nil {
		return refuse(req, err)
	}
	pair := base64.StdEncoding.EncodeToString([]byte(t.Username + ":" + t.Password.Reveal()))
	return sendWith(t.Base, t.checked, req, "Authorization", "Basic "+pair, pair, t.Password.Reveal())
}

// refusedError is a request that a transport would not send, and would not
// however often it is asked.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// refuse ends a request unsent. A RoundTripper closes the body even then.
func refuse(req *http.Request, err error) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return nil, &refusedError{err}
}

// sendWith sends a copy of req with one more header: a RoundTripper may not
// modify the request it is given.
func sendWith(base http.RoundTripper, checked bool, req *http.Request, name, value string, secrets ...string) (*http.Response, error) {
	if base == nil {
		base = http.DefaultTransport
	}
	if !checked {
		if err := checkTLS(base); err != nil {
			return refuse(req, err)
		}
	}
	sent := new(http.Request)
	*sent = *req
	sent.Header = make(http.Header, len(req.Header)+1)
	for k, v := range req.Header {
		sent.Header[k] = v[:len(v):len(v)]
	}
	sent.Header[name] = []string{value}
	resp, err := base.RoundTrip(sent)
	if err != nil {
		return resp, hideError(err, secrets...)
	}
	if resp != nil {
		// As net/http does it. What this was is needed to hide it in errors.
		resp.Request = sent
	}
	return resp, nil
}

// admit refuses a request to where credentials for host must not be sent.
func admit(req *http.Request, host string, plainHTTP bool) error {
	if host == "" {
		host = defaultHost
	}
	switch u := req.URL; {
	case u == nil:
		return errors.New("fastly: the request has no URL")
	case u.Scheme == "http" && !plainHTTP && !isLoopback(u.Hostname()):
		return fmt.Errorf("fastly: request to %s refused: over plain http anybody on the way could read the credentials", oneLine(u.Host))
	case u.Scheme == "http" && wasSecure(req.Response):
		return fmt.Errorf("fastly: request to %s refused: it is a redirect from https to plain http", oneLine(u.Host))
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("fastly: request to %s refused: its scheme is not https", oneLine(u.Host))
	case u.Host != host && canonicalHost(u.Host, u.Scheme) != canonicalHost(host, u.Scheme):
		return fmt.Errorf("fastly: request to %s refused: the credentials are for %s only", oneLine(u.Host), host)
	}
	return nil
}

// wasSecure reports whether resp, the redirect that led to a request, came by
// https.
func wasSecure(resp *http.Response) bool {
	return resp != nil && resp.Request != nil && resp.Request.URL != nil && resp.Request.URL.Scheme == "https"
}

// canonicalHost is host:port in one form, so that spelling makes no difference.
func canonicalHost(host, scheme string) string {
	u := url.URL{Host: host}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

func isLoopback(hostname string) bool {
	if strings.EqualFold(hostname, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(hostname)
	return err == nil && addr.Unmap().IsLoopback()
}

// checkTLS refuses a transport that was told to go below TLS 1.2.
func checkTLS(rt http.RoundTripper) error {
	t, ok := rt.(*http.Transport)
	switch {
	case !ok:
		return nil
	case t == nil:
		return invalid("the HTTP transport is a nil *http.Transport")
	}
	// At its first use a transport changes its settings, which only Clone
	// knows to wait for.
	if t = t.Clone(); t.TLSClientConfig == nil {
		return nil
	}
	if v := t.TLSClientConfig.MinVersion; v != 0 && v < tls.VersionTLS12 {
		return invalid("the HTTP transport allows %s: set TLSClientConfig.MinVersion to tls.VersionTLS12 or later", tls.VersionName(v))
	}
	if v := t.TLSClientConfig.MaxVersion; v != 0 && v < tls.VersionTLS12 {
		return invalid("the HTTP transport goes up to %s only: set TLSClientConfig.MaxVersion to tls.VersionTLS12 or later", tls.VersionName(v))
	}
	return nil
}

func checkKey(key string) error {
	if key == "" {
		return invalid("the API key is empty")
	}
	if !isVisible(key) {
		return invalid("the API key holds a character that an HTTP header can't carry as it is (a line break or a space at its end?)")
	}
	return nil
}

// checkLogin follows RFC 7617, section 2: no colon in the user name, no control
// characters at all.
func checkLogin(username, password string) error {
	switch {
	case username == "":
		return invalid("the user name is empty")
	case password == "":
		return invalid("the password is empty")
	case strings.Contains(username, ":"):
		return invalid("the user name holds a colon, which HTTP Basic authentication can't carry")
	case strings.ContainsFunc(username, isControl):
		return invalid("the user name holds a control character (a line break at its end?)")
	case strings.ContainsFunc(password, isControl):
		return invalid("the password holds a control character (a line break at its end?)")
	}
	return nil
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// isVisible reports whether s is made of visible ASCII characters only, the
// VCHAR of RFC 9110, section 5.5.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// Format implements [fmt.Formatter]: the fields, Key redacted, for every verb.
func (t APIKeyTransport) Format(f fmt.State, verb rune) {
	type plain APIKeyTransport
	formatFields(f, verb, "APIKeyTransport", plain(t))
}

// Format implements [fmt.Formatter]: the fields, Password redacted, for every verb.
func (t BasicAuthTransport) Format(f fmt.State, verb rune) {
	type plain BasicAuthTransport
	formatFields(f, verb, "BasicAuthTransport", plain(t))
}
