package fastly

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fastly-tokens/fastly/internal/origin"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

// Option configures a [Client]. If one is given twice, the last applies. Two that authenticate in
// different ways are an error.
type Option func(*config) error

type config struct {
	base      *url.URL
	plainHTTP bool
	auth      authentication
	userAgent []string
	policy    RetryPolicy
	logger    *slog.Logger
	timeout   time.Duration // of WithHTTPClient: bounds an attempt, unless zero

	other       http.RoundTripper // of WithHTTPClient
	below       http.RoundTripper // auth.own, other or the library's own
	middlewares []func(next http.RoundTripper) http.RoundTripper
	http1       *atomic.Bool      // Go 1.26: the last response from below came over HTTP/1
	transport   http.RoundTripper // below with the middlewares, the first one outermost; nil: to be made
}

// authentication is what an option that authenticates gives; the zero value is none.
type authentication struct {
	option string                                    // its name
	obtain func(context.Context) (credential, error) // nil: no credentials
	own    http.RoundTripper                         // of WithTransport
}

func authenticate(a authentication, err error) Option {
	return func(c *config) error {
		if err != nil {
			return err
		}
		if c.auth.option != "" && c.auth.option != a.option {
			return invalid("%s and %s are two ways of authentication: use one", c.auth.option, a.option)
		}
		c.auth = a
		if a.own != nil {
			c.transport = nil
		}
		return nil
	}
}

// WithAPIKey authenticates with an API key, sent as the Fastly-Key header.
func WithAPIKey(key string) Option {
	cred, err := keyCredential(Secret(key), changesNever)
	return authenticate(authentication{option: "WithAPIKey", obtain: cred.same}, err)
}

// WithAPIKeyFunc authenticates with the API key that f returns, which may change: see [KeyFile]. f is
// called before each attempt and its timeout (once for a [TokensService.RevokeTokenCurrent]), with
// the context of the call; it must be safe for concurrent use. The call ends with its error.
func WithAPIKeyFunc(f func(context.Context) (Secret, error)) Option {
	var err error
	if f == nil {
		err = invalid("WithAPIKeyFunc was given nil")
	}
	obtain := func(ctx context.Context) (credential, error) { return askKey(ctx, f) }
	return authenticate(authentication{option: "WithAPIKeyFunc", obtain: obtain}, err)
}

// WithBasicAuth authenticates with a user name and password, for [TokensService.CreateToken] only.
func WithBasicAuth(username, password string) Option {
	cred, err := basicCredential(username, Secret(password))
	return authenticate(authentication{option: "WithBasicAuth", obtain: cred.same}, err)
}

// WithoutAuthentication makes a client without credentials of its own, for
// [TokensService.CreateToken] with a Username and a Password. Every other call sends nothing and
// fails with [ErrInvalidArgument]. A transport of [WithHTTPClient] should add none.
func WithoutAuthentication() Option {
	return authenticate(authentication{option: "WithoutAuthentication"}, nil)
}

// WithTransport sends requests through rt, which authenticates them and decides where credentials
// go. It should add none to a create with a Username and a Password. A
// [TokensService.RevokeTokenCurrent] that may have been processed is not retried.
func WithTransport(rt http.RoundTripper) Option {
	err := checkTLS(rt)
	if rt == nil {
		err = invalid("WithTransport was given nil")
	}
	return authenticate(authentication{"WithTransport", credential{changes: changesPerAttempt}.same, rt}, err)
}

// WithHTTPClient uses the Transport of hc, for proxies and TLS settings, and its Timeout, but not its
// Jar and CheckRedirect. The transport sees credentials and bodies, must add no credentials, and must
// not be changed afterwards; nil means the library's own. The Timeout bounds each attempt, response
// body included. If it is zero, and without this option, an attempt ends after 60 s without a response
// header, or 60 s of silence in the body; for no limit, set a long one.
func WithHTTPClient(hc *http.Client) Option {
	return func(c *config) error {
		if hc == nil {
			return invalid("WithHTTPClient was given nil")
		}
		if hc.Transport != nil || c.other != nil {
			c.other, c.transport = hc.Transport, nil
		}
		c.timeout = max(hc.Timeout, 0)
		return c.check(hc.Transport)
	}
}

// WithMiddleware puts a round tripper around whatever transport is used, for tracing, metrics or
// logging. The first one given is the outermost; those of [Client.With] are outside those that it
// inherits. wrap is called once, and again by a With that replaces the transport.
//
// A middleware sees each attempt, with its credentials and its body: it must log neither, and add no
// credentials. It must not send a request again, since a create could then make a second token. It
// passes on the context of the request, with which the client watches what is sent, but to no other.
func WithMiddleware(wrap func(next http.RoundTripper) http.RoundTripper) Option {
	return func(c *config) error {
		if wrap == nil {
			return invalid("WithMiddleware was given nil")
		}
		c.middlewares = append(c.middlewares, wrap)
		return nil
	}
}

// WithBaseURL replaces [DefaultBaseURL]. The URL must be https unless its host is loopback, without
// user name, query and fragment. Its path, if any, is put before the API's.
func WithBaseURL(rawURL string) Option {
	return func(c *config) (err error) {
		c.base, err = parseBaseURL(rawURL)
		return err
	}
}

// WithInsecurePlainHTTP allows a base URL with plain http to a host that is not loopback. Anyone on
// the network path can then read the credentials and the tokens created with them.
func WithInsecurePlainHTTP() Option {
	return func(c *config) error { c.plainHTTP = true; return nil }
}

// WithUserAgent prepends a product token, such as "deploy-tool/1.4", to the library's own in the
// User-Agent header.
func WithUserAgent(product string) Option {
	return func(c *config) error {
		if !isVisible(strings.ReplaceAll(product, " ", "")) || strings.TrimSpace(product) != product || product == "" {
			return invalid("the user agent %q is not a product token such as \"deploy-tool/1.4\"", product)
		}
		c.userAgent = []string{product + " " + libraryProduct}
		return nil
	}
}

// WithRetryPolicy replaces the default [RetryPolicy]. A MinBackoff above MaxBackoff is an error.
func WithRetryPolicy(p RetryPolicy) Option {
	return func(c *config) error { c.policy = p; return p.check() }
}

// WithLogger logs each attempt at debug level: method, path, status (0 without a response), outcome
// (such as "done" or "no response"), duration, attempt, and the wait before the next one, but no
// header or body. A nil logger, the default, logs nothing.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) error { c.logger = l; return nil }
}

// withEnv fills in from the environment what no other option has set.
func withEnv(c *config) error {
	for _, name := range []string{"FASTLY_API_TOKEN", "FASTLY_API_KEY"} {
		if key := os.Getenv(name); key != "" && c.auth.option == "" {
			if err := WithAPIKey(key)(c); err != nil {
				return fmt.Errorf("%w (from %s)", err, name)
			}
		}
	}
	if c.auth.option == "" {
		return invalid("no credentials: set FASTLY_API_TOKEN (or FASTLY_API_KEY) to an API key")
	}
	if rawURL := os.Getenv("FASTLY_API_URL"); rawURL != "" && c.base == nil {
		err := WithBaseURL(rawURL)(c)
		if err == nil {
			err = c.checkScheme()
		}
		if err != nil {
			return fmt.Errorf("%w (from FASTLY_API_URL)", err)
		}
	}
	return nil
}

// checkScheme rejects a base URL with plain http, unless an option allows it.
func (c *config) checkScheme() error {
	if c.base.Scheme == "http" && !c.plainHTTP && !origin.IsLoopback(c.base.Hostname()) {
		return invalid("the base URL is plain http, which would show the credentials to anyone on the path to %s: use https", c.base.Host)
	}
	return nil
}

// complete adds what no option has given, from parent (empty for a new client) or the defaults, and
// rejects what can't work as a whole.
func (c *config) complete(parent *config) error {
	switch {
	case runtime.GOOS == "js":
		return invalid("browsers are not supported: they follow redirects with the key")
	case parent.auth.own != nil && c.auth.option != "" && c.auth.own == nil:
		return invalid("the client's transport authenticates, and would do so beside %s: make another client", c.auth.option)
	case parent.auth.option == "" && c.auth.option == "":
		return invalid("no credentials: use WithAPIKey, WithAPIKeyFunc, WithBasicAuth, WithoutAuthentication, WithTransport or NewClientFromEnv")
	case c.auth.option == "" && c.base != nil && *c.base != *parent.base:
		return invalid("another base URL needs credentials of its own: give both")
	}
	if c.auth.option == "" {
		c.auth = parent.auth
	}
	if c.auth.own != nil && c.other != nil {
		return invalid("WithTransport and the Transport of WithHTTPClient exclude each other: wrap the latter in your transport, or leave it nil")
	}
	c.base = cmp.Or(c.base, parent.base, &url.URL{Scheme: "https", Host: defaultHost})
	c.policy = c.policy.withDefaults()
	c.logger = cmp.Or(c.logger, slog.New(slog.DiscardHandler))
	if err := c.checkScheme(); err != nil {
		return err
	}
	return c.wrap(parent)
}

// wrap makes the transport with its middlewares: those of parent again if what is below is new.
func (c *config) wrap(parent *config) error {
	wraps := c.middlewares
	c.middlewares = slices.Concat(c.middlewares, parent.middlewares)
	if c.transport == nil {
		wraps = c.middlewares
		c.below = cmp.Or(c.auth.own, c.other)
		if c.below == nil {
			c.below = defaultTransport()
		}
		c.transport, c.http1 = c.below, new(atomic.Bool)
	}
	for _, wrap := range slices.Backward(wraps) {
		c.transport = wrap(c.transport)
		if c.transport == nil {
			return invalid("a middleware returned nil")
		}
		if err := c.check(c.transport); err != nil {
			return err
		}
	}
	return nil
}

// check rejects a transport with low TLS, and one that replaces the credentials of requests.
func (c *config) check(rt http.RoundTripper) error {
	switch rt.(type) {
	case *APIKeyTransport, *BasicAuthTransport:
		if rt != c.auth.own {
			return invalid("the transport adds credentials of its own: give it to WithTransport instead")
		}
	}
	return checkTLS(rt)
}

func parseBaseURL(rawURL string) (*url.URL, error) {
	if err := checkText("the base URL", rawURL, false); err != nil {
		return nil, err
	}
	u, err := url.Parse(rawURL)
	switch {
	case err != nil: // which may quote a password
		return nil, invalid("the base URL can't be parsed: it should look like %s", DefaultBaseURL)
	case u.User != nil:
		return nil, invalid("the base URL holds a user name: credentials do not belong there")
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		if strings.Contains(rawURL, "@") || !strings.ContainsAny(rawURL, "./:") {
			rawURL = redacted // it may be a credential in the wrong place
		}
		return nil, invalid("the base URL %q is not an absolute http or https URL: it should look like %s", terminal.Truncate(rawURL, 200), DefaultBaseURL)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, invalid("the base URL has a query or a fragment: leave them out")
	}
	// Proxy settings tell loopback from other hosts by the case of "localhost".
	u.Host = strings.ToLower(u.Host)
	u.RawPath = strings.TrimRight(u.EscapedPath(), "/")
	u.Path, _ = url.PathUnescape(u.RawPath) // Parse has done it before
	return u, nil
}
