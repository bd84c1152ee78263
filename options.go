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
	"time"

	"github.com/fastly-tokens/fastly/internal/terminal"
)

// Option configures a [Client]. If one is given twice, the last applies; two different ways of
// authentication are an error.
type Option func(*config) error

type config struct {
	base      *url.URL
	plainHTTP bool
	option    string                                    // the way of authentication
	obtain    func(context.Context) (credential, error) // nil: no credentials
	product   string
	policy    RetryPolicy
	logger    *slog.Logger
	timeout   time.Duration // of an attempt
	silence   time.Duration // bounds each read of a response, unless zero

	own         http.RoundTripper // of WithTransport
	other       http.RoundTripper // of WithHTTPClient
	below       http.RoundTripper // one of these, or the library's own
	middlewares []func(next http.RoundTripper) http.RoundTripper
	transport   http.RoundTripper // below with the middlewares, the first one outermost; nil: to be made
}

func (c *config) authenticate(option string, obtain func(context.Context) (credential, error), own http.RoundTripper) error {
	if c.option != "" && c.option != option {
		return invalid("%s and %s are two ways of authentication: use one", c.option, option)
	}
	c.option, c.obtain, c.own = option, obtain, own
	if own != nil {
		c.transport = nil
	}
	return nil
}

// withCredential authenticates every request with the same credential.
func withCredential(option string, cred credential, err error) Option {
	return func(c *config) error {
		if err != nil {
			return err
		}
		return c.authenticate(option, func(context.Context) (credential, error) { return cred, nil }, nil)
	}
}

// WithAPIKey authenticates with an API key, sent as the Fastly-Key header.
func WithAPIKey(key string) Option {
	cred, err := keyCredential(Secret(key))
	return withCredential("WithAPIKey", cred, err)
}

// WithAPIKeyFunc authenticates with the API key that f returns, for keys that change while the
// program runs, such as [KeyFile]. f is called for each attempt (once for a
// [TokensService.RevokeTokenCurrent]) with the context of the call, before an attempt's timeout
// starts, and must be safe for concurrent use. Its error ends the call, and [errors.Is] finds it.
func WithAPIKeyFunc(f func(context.Context) (Secret, error)) Option {
	return func(c *config) error {
		if f == nil {
			return invalid("WithAPIKeyFunc was given nil")
		}
		obtain := func(ctx context.Context) (credential, error) { return askKey(ctx, f) }
		return c.authenticate("WithAPIKeyFunc", obtain, nil)
	}
}

// WithBasicAuth authenticates with a user name and password, for [TokensService.CreateToken] only.
func WithBasicAuth(username, password string) Option {
	cred, err := basicCredential(username, Secret(password))
	return withCredential("WithBasicAuth", cred, err)
}

// WithoutAuthentication makes a client without credentials of its own, for
// [TokensService.CreateToken] with a Username and a Password. Every other call fails with
// [ErrInvalidArgument] before sending. A transport of [WithHTTPClient] should add none.
func WithoutAuthentication() Option {
	return func(c *config) error { return c.authenticate("WithoutAuthentication", nil, nil) }
}

// WithTransport sends requests through rt, which authenticates them and decides where credentials
// go. It should add none to a create with a Username and a Password, which authenticates itself.
// As the client does not know the key, it does not retry a [TokensService.RevokeTokenCurrent] that
// may have been processed.
func WithTransport(rt http.RoundTripper) Option {
	return func(c *config) error {
		if rt == nil {
			return invalid("WithTransport was given nil")
		}
		if err := checkTLS(rt); err != nil {
			return err
		}
		obtain := func(context.Context) (credential, error) { return credential{changes: changesPerAttempt}, nil }
		return c.authenticate("WithTransport", obtain, rt)
	}
}

// WithHTTPClient uses the Transport and Timeout of hc, for proxies, TLS settings or tracing. The
// transport sees each request with its credentials and body. hc is never modified; its Jar and its
// CheckRedirect are not used.
//
// A Timeout bounds each attempt, response body included; for none, set a long one. If it is zero,
// and without this option, an attempt ends after 60 s without a response header, or 60 s of silence
// in the response body. A nil Transport means the library's own.
func WithHTTPClient(hc *http.Client) Option {
	return func(c *config) error {
		if hc == nil {
			return invalid("WithHTTPClient was given nil")
		}
		if hc.Transport != nil || c.other != nil {
			c.other, c.transport = hc.Transport, nil
		}
		c.timeout, c.silence = hc.Timeout, 0
		return checkTLS(hc.Transport)
	}
}

// WithMiddleware puts a round tripper around the transport, whichever it is, for tracing, metrics or
// logging. The first one given is the outermost; those of [Client.With] are outside those that it
// inherits. wrap is called once, and again by a With that replaces the transport.
//
// A middleware sees each attempt, with its credentials and its body: it must log neither. It keeps
// to the contract of [http.RoundTripper]. It passes the context of the request on, but to no other
// request: the client watches what is sent. It must not send a request again, since a create could
// then make a second token: retries are the client's.
func WithMiddleware(wrap func(next http.RoundTripper) http.RoundTripper) Option {
	return func(c *config) error {
		if wrap == nil {
			return invalid("WithMiddleware was given nil")
		}
		c.middlewares = append(c.middlewares, wrap)
		return nil
	}
}

// WithBaseURL replaces [DefaultBaseURL]. The URL must be https unless its host is loopback, and
// it must have no user name, query or fragment. Its path, if any, is put before the API's.
func WithBaseURL(rawURL string) Option {
	return func(c *config) (err error) {
		c.base, err = parseBaseURL(rawURL)
		return err
	}
}

// WithInsecurePlainHTTP allows a base URL with plain http to a host that is not loopback, such as a
// proxy on your own network. Anyone on the network path can then read the credentials and the
// tokens created with them.
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
		c.product = product
		return nil
	}
}

// WithRetryPolicy replaces the default [RetryPolicy]. A negative field is an error, and so is a
// MinBackoff longer than MaxBackoff.
func WithRetryPolicy(p RetryPolicy) Option {
	return func(c *config) error { c.policy = p; return p.check() }
}

// WithLogger logs each attempt at debug level: method, path, status (0 without a response), outcome
// (such as "done", "no response" or "rate limited"), duration, attempt, and the wait before the
// next one. Headers and bodies are never logged. A nil logger, the default, logs nothing.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) error { c.logger = l; return nil }
}

// withEnv is an Option that fills in from the environment what no other option has set.
func withEnv(c *config) error {
	for _, name := range []string{"FASTLY_API_TOKEN", "FASTLY_API_KEY"} {
		if key := os.Getenv(name); key != "" && c.option == "" {
			if err := WithAPIKey(key)(c); err != nil {
				return fmt.Errorf("%w (from %s)", err, name)
			}
		}
	}
	if c.option == "" {
		return invalid("no credentials: set FASTLY_API_TOKEN (or FASTLY_API_KEY) to an API token")
	}
	if rawURL := os.Getenv("FASTLY_API_URL"); rawURL != "" && c.base == nil {
		if err := WithBaseURL(rawURL)(c); err != nil {
			return fmt.Errorf("%w (from FASTLY_API_URL)", err)
		}
	}
	return nil
}

// complete adds what no option has given, from parent or the defaults, and rejects what can't work
// as a whole.
func (c *config) complete(parent *config) error {
	if runtime.GOOS == "js" {
		return invalid("browsers are not supported: they follow redirects with the key")
	}
	if err := c.inherit(parent); err != nil {
		return err
	}
	if c.base.Scheme == "http" && !c.plainHTTP && !isLoopback(c.base.Hostname()) {
		return invalid("the base URL is plain http, which would show the credentials to anyone on the path to %s: use https", c.base.Host)
	}
	if c.own != nil && c.other != nil {
		return invalid("WithTransport and the Transport of WithHTTPClient exclude each other: wrap the latter in your transport, or leave it nil")
	}
	c.policy = c.policy.withDefaults()
	c.logger = cmp.Or(c.logger, slog.New(slog.DiscardHandler))
	if c.timeout <= 0 {
		c.timeout, c.silence = defaultTimeout, defaultTimeout
	}
	return c.wrap(parent)
}

// inherit adds the base URL and the credentials of parent, which is empty for a new client.
func (c *config) inherit(parent *config) error {
	switch {
	case parent.own != nil && c.option != "" && c.own == nil:
		return invalid("the client's transport authenticates, and would do so beside %s: make another client", c.option)
	case c.option != "":
	case parent.option == "":
		return invalid("no credentials: use WithAPIKey, WithAPIKeyFunc, WithBasicAuth, WithoutAuthentication, WithTransport or NewClientFromEnv")
	case c.base != nil && *c.base != *parent.base:
		return invalid("another base URL needs credentials of its own: give both")
	default:
		c.option, c.obtain, c.own = parent.option, parent.obtain, parent.own
	}
	c.base = cmp.Or(c.base, parent.base, &url.URL{Scheme: "https", Host: defaultHost})
	return nil
}

// wrap makes the transport with its middlewares: those of parent again if what is below is new.
func (c *config) wrap(parent *config) error {
	wraps := c.middlewares
	c.middlewares = slices.Concat(c.middlewares, parent.middlewares)
	if c.transport == nil {
		wraps = c.middlewares
		c.transport = cmp.Or(c.own, c.other)
		if c.transport == nil {
			c.transport = defaultTransport()
		}
		c.below = c.transport
	}
	for _, wrap := range slices.Backward(wraps) {
		c.transport = wrap(c.transport)
		if c.transport == nil {
			return invalid("a middleware returned nil")
		}
	}
	return nil
}

func parseBaseURL(rawURL string) (*url.URL, error) {
	if err := checkKey("the base URL", rawURL); err != nil {
		return nil, err
	}
	u, err := url.Parse(rawURL)
	switch {
	case err != nil: // which may quote a password
		return nil, invalid("the base URL can't be parsed: it should look like %s", DefaultBaseURL)
	case u.User != nil:
		return nil, invalid("the base URL holds a user name: credentials do not belong there")
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		if strings.Contains(rawURL, "@") || !strings.ContainsAny(rawURL, "./:") && rawURL != "" {
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
