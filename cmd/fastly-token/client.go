package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/clock"
)

// Variables of the environment.
const (
	varToken     = "FASTLY_API_TOKEN" // #nosec G101 -- a name
	varKey       = "FASTLY_API_KEY"
	varTokenFile = "FASTLY_API_TOKEN_FILE" // #nosec G101 -- a name
	varURL       = "FASTLY_API_URL"
	varUsername  = "FASTLY_USERNAME"
	varPassword  = "FASTLY_PASSWORD_FILE"
	varOTP       = "FASTLY_OTP_FILE"
	varTOTP      = "FASTLY_TOTP_SECRET_FILE"
	varService   = "FASTLY_SERVICE_ID" // only serve sets it, for its command
)

// environmentKey is the API key of the environment.
type environmentKey struct {
	value    fastly.Secret // "" if there is none
	variable string        // that it comes from
	err      error         // why there is none, if one was meant
}

// readKey reads the API key of the environment, once: what the program looks for in its output
// and in its arguments must be what it sends.
func (a *app) readKey(ctx context.Context) environmentKey {
	path := a.getenv(varTokenFile)
	for _, variable := range []string{varToken, varKey} {
		value := a.getenv(variable)
		if value != "" && path != "" {
			return environmentKey{err: usagef("%s and %s are both set: keep one", variable, varTokenFile)}
		}
		if value != "" {
			return environmentKey{value: fastly.Secret(value), variable: variable}
		}
	}
	if path == "" {
		return environmentKey{}
	}
	key, err := fastly.KeyFile(path)(ctx)
	if err != nil {
		return environmentKey{err: usagef("%s: %w", varTokenFile, err)}
	}
	return environmentKey{value: key, variable: varTokenFile}
}

// client returns a client that uses the API key of the environment.
func (a *app) client() (*fastly.Client, error) {
	return a.newClient(a.key.variable, fastly.WithAPIKey(a.key.value.Reveal()))
}

// newClient returns a client. Its error names what is wrong: the base URL, or the credentials,
// which are called what.
func (a *app) newClient(what string, auth fastly.Option) (*fastly.Client, error) {
	client, err := fastly.NewClient(append([]fastly.Option{
		fastly.WithUserAgent("fastly-token/" + version()), fastly.WithLogger(a.logger()), fastly.WithMiddleware(a.watchClock),
		fastly.WithBaseURL(cmp.Or(a.getenv(varURL), fastly.DefaultBaseURL)), fastly.WithoutAuthentication(),
	}, a.options...)...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", varURL, err)
	}
	if client, err = client.With(auth); err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return client, err
}

// watchClock notes how far the clock of this machine is from that of the API.
func (a *app) watchClock(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err == nil {
			if shown := clock.OfServer(resp.Header, a.now()); shown != nil {
				a.offset.Store(int64(-shown.Ahead()))
			}
		}
		return resp, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// clockOffset returns what to add to this machine's clock for the API's, 0 if they are close.
func (a *app) clockOffset() time.Duration {
	offset := time.Duration(a.offset.Load())
	if offset.Abs() < time.Minute {
		return 0
	}
	return offset
}

// apiTime returns the time by the clock of the API, as far as a response showed it.
func (a *app) apiTime() time.Time { return a.now().Add(a.clockOffset()) }

// logger returns the log of --verbose, nil without it.
func (a *app) logger() *slog.Logger {
	if !a.verbose {
		return nil
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// needs are the credentials of a command.
type needs struct {
	key    bool
	unless *bool  // a flag with which the key is not needed
	login  *login // nil: none
}

// check returns an error that names what is missing. It does not prompt.
func (a *app) check(n needs) error {
	var missing []string
	byKey := n.login != nil && n.login.byKey
	needsKey := byKey || n.key && (n.unless == nil || !*n.unless)
	mayBeMade := errors.Is(a.key.err, fs.ErrNotExist) // the file of the key, by create
	switch {
	case a.key.err != nil && (n.key || byKey || n.login != nil && !mayBeMade):
		return a.key.err
	case needsKey && a.key.value == "":
		missing = append(missing, "an API key in "+varToken+", or a file with one in "+varTokenFile)
	}
	if why := a.unasked(); why != "" && n.login != nil && !byKey {
		if n.login.username(a) == "" {
			missing = append(missing, "a user name in "+varUsername+" or --username, not asked for "+why)
		}
		if n.login.passwordFile(a) == "" {
			missing = append(missing, "a password in the file of "+varPassword+" or --password-file, not asked for "+why)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return usagef("credentials are missing: %s", strings.Join(missing, ", and "))
}
