package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve [flags] [-- COMMAND [ARGUMENT...]]",
		Short: "Run an in-memory Tokens API, for tests of clients in any language",
		Long: `Runs an in-memory Tokens API on a loopback port, with made-up credentials. Nothing is
stored, and nothing leaves this machine.

With a command, it runs as long as the command, and ends with its exit code. The command finds the
API and a login in FASTLY_API_URL, FASTLY_API_TOKEN, FASTLY_USERNAME, FASTLY_PASSWORD_FILE and
FASTLY_SERVICE_ID, instead of what the environment has. With --two-factor the user of that login has
two-factor authentication: FASTLY_OTP_FILE holds a code that is always right, and
FASTLY_TOTP_SECRET_FILE the secret that authenticators make codes from.

Otherwise it runs until Ctrl-C or SIGTERM, and prints its URL and credentials, or with --env the
lines that export them to a shell.

As with the API, a create by API key needs a POST to /sudo first, unless --without-sudo is given; a
create by login does not. Where it is unknown what the API does, the request is rejected.

It lacks what tests in Go have in package fastlytest: faults, such as lost responses, a clock to set,
rate limits, latency, other users and tokens, and the requests that were made.`,
		Example: `  fastly-token serve -- go run ./examples/expiring
  fastly-token serve --addr 127.0.0.1:8080 --env >api.env &`,
		Args: cobra.ArbitraryArgs,
	}
	s := service{app: a}
	fs := cmd.Flags()
	fs.StringVar(&s.addr, "addr", "127.0.0.1:0", "loopback `address` to listen on; port 0 is a free one")
	fs.BoolVar(&s.twoFactor, "two-factor", false, "export, or give to the command, the login of a user with two-factor authentication")
	fs.BoolVar(&s.withoutSudo, "without-sudo", false, "let an API key create tokens at any time")
	fs.BoolVar(&s.asEnv, "env", false, "print lines for a shell, which export the environment")
	asJSON := jsonFlag(fs)
	cmd.RunE = func(cmd *cobra.Command, command []string) error {
		s.command, s.asJSON = command, *asJSON
		if err := s.check(cmd.ArgsLenAtDash() == 0); err != nil {
			return err
		}
		return s.run(cmd.Context())
	}
	return a.prepared(needs{}, cmd)
}

type service struct {
	*app
	addr                   string
	twoFactor, withoutSudo bool
	asEnv, asJSON          bool
	command                []string
}

func (s *service) check(dash bool) error {
	host, _, err := net.SplitHostPort(s.addr)
	ip := net.ParseIP(host)
	switch {
	case err != nil:
		return usagef("--addr: want an address such as 127.0.0.1:8080")
	case host != "localhost" && (ip == nil || !ip.IsLoopback()):
		return usagef("--addr: %q is not a loopback address, and the server has no TLS", host)
	case dash && len(s.command) == 0:
		return usagef("there is no command to run")
	case !dash && len(s.command) > 0:
		return usagef("unexpected argument %q: -- goes before a command", s.command[0])
	case dash && (s.asEnv || s.asJSON), s.asEnv && s.asJSON:
		return usagef("--env, --json and a command exclude each other")
	case s.twoFactor && !dash && !s.asEnv:
		return usagef("--two-factor is for --env and a command")
	}
	return nil
}

func (s *service) run(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.addr)
	if err != nil {
		return fmt.Errorf("--addr: %w", err)
	}
	opts := []fastlytest.Option{fastlytest.WithListener(listener)}
	if s.withoutSudo {
		opts = append(opts, fastlytest.WithoutSudo())
	}
	srv := fastlytest.NewServer(opts...)
	defer srv.Close()
	api := newServed(srv)
	dir, err := os.MkdirTemp("", "fastly-token-serve-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what it holds is made up
	login := api.Login
	if s.twoFactor {
		login = api.TwoFactor
	}
	env, err := login.environment(api.URL, dir)
	if err != nil {
		return err
	}
	switch {
	case len(s.command) > 0:
		signals := s.queueSignals()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		rest := slices.DeleteFunc(slices.Clone(s.environ), func(entry string) bool {
			return strings.HasPrefix(strings.ToUpper(entry), "FASTLY_") // Windows ignores case
		})
		return exitError(s.runCommand(ctx, s.command, append(rest, env...), signals))
	case s.asEnv:
		err = s.print(exports(env))
	default:
		err = s.printServed(api)
	}
	if err != nil {
		return err
	}
	<-ctx.Done()
	if errors.As(context.Cause(ctx), new(interruption)) { // the usual end
		return nil
	}
	return ctx.Err()
}

// served is what a client of the server needs to know. All of it is made up.
type served struct {
	URL       string      `json:"url"`
	Key       string      `json:"api_key"` // of Login
	Login     servedLogin `json:"login"`
	TwoFactor servedLogin `json:"two_factor_login"`
}

type servedLogin struct {
	Username   string `json:"username"`
	Password   string `json:"password"`
	Key        string `json:"api_key"`
	OTP        string `json:"one_time_password,omitempty"`
	TOTPSecret string `json:"totp_secret,omitempty"`
}

// newServed makes sure that the server has all that is served.
func newServed(srv *fastlytest.Server) served {
	user := srv.User()
	second := srv.AddUser(fastlytest.User{ // #nosec G101 -- made up
		Login: "second@example.com", Superuser: true, OTP: "314159", TOTPSecret: "JBSWY3DPEHPK3PXP",
	})
	key := srv.AddToken(second.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: "second"}})
	return served{
		URL: srv.URL, Key: srv.Key().Reveal(),
		Login: servedLogin{Username: user.Login, Password: user.Password, Key: srv.Key().Reveal()},
		TwoFactor: servedLogin{
			Username: second.Login, Password: second.Password, Key: key.AccessToken.Reveal(),
			OTP: second.OTP, TOTPSecret: second.TOTPSecret,
		},
	}
}

// environment returns the variables for a program that uses the login. It makes the files that they
// name in dir.
func (l servedLogin) environment(url, dir string) ([]string, error) {
	env := []string{
		varURL + "=" + url, varToken + "=" + l.Key, varUsername + "=" + l.Username,
		varService + "=SU1Z0isxPaozGVKXdv0eY",
	}
	for _, file := range []struct{ variable, name, content string }{
		{varPassword, "password", l.Password},
		{varOTP, "one-time-password", l.OTP},
		{varTOTP, "totp-secret", l.TOTPSecret},
	} {
		if file.content == "" {
			continue
		}
		path := filepath.Join(dir, file.name)
		if err := os.WriteFile(path, []byte(file.content+"\n"), 0o600); err != nil {
			return nil, err
		}
		env = append(env, file.variable+"="+path)
	}
	return env, nil
}

// exports returns lines for a POSIX shell.
func exports(env []string) string {
	var b strings.Builder
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	return b.String()
}

func (s *service) printServed(api served) error {
	if s.asJSON {
		return s.print(toJSON(api))
	}
	var l textFields
	l.add("URL", api.URL)
	l.add("API key", api.Key)
	l.add("User name", api.Login.Username)
	l.add("Password", api.Login.Password)
	l.add("With two-factor authentication: user name", api.TwoFactor.Username)
	l.add("API key", api.TwoFactor.Key)
	l.add("Password", api.TwoFactor.Password)
	l.add("One-time password, or TOTP secret", api.TwoFactor.OTP+", "+api.TwoFactor.TOTPSecret)
	return s.print(fields(l.columns, l.cells, unlimited, s.styles()))
}
