package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fastly-tokens/fastly"
)

// Variables that the program reads.
const (
	varToken    = "FASTLY_API_TOKEN" // #nosec G101 -- a name
	varKey      = "FASTLY_API_KEY"
	varURL      = "FASTLY_API_URL"
	varUsername = "FASTLY_USERNAME"
	varPassword = "FASTLY_PASSWORD_FILE"
	varOTP      = "FASTLY_OTP_FILE"
)

// key returns the API token of the environment, and the variable it is in.
func (a *app) key() (key fastly.Secret, variable string) {
	for _, variable := range []string{varToken, varKey} {
		if value := a.getenv(variable); value != "" {
			return fastly.Secret(value), variable
		}
	}
	return "", ""
}

// client returns a client that uses the API token of the environment.
func (a *app) client() (*fastly.Client, error) {
	key, variable := a.key()
	return a.newClient(cmp.Or(variable, varToken), fastly.WithAPIKey(key.Reveal()))
}

func (a *app) clientOf(key fastly.Secret) (*fastly.Client, error) {
	return a.newClient("the new token", fastly.WithAPIKey(key.Reveal()))
}

// loginClient returns a client without credentials, for creates by login.
func (a *app) loginClient() (*fastly.Client, error) {
	return a.newClient("the client", fastly.WithoutAuthentication())
}

// newClient returns a client. Its error names what is wrong: the base URL, or the
// credentials, which are called what.
func (a *app) newClient(what string, auth fastly.Option) (*fastly.Client, error) {
	opts := []fastly.Option{fastly.WithUserAgent("fastly-token/" + version())}
	if base := a.getenv(varURL); base != "" {
		opts = append(opts, fastly.WithBaseURL(base))
	}
	opts = append(opts, a.options...)
	if _, err := fastly.NewClient(append(slices.Clip(opts), fastly.WithoutAuthentication())...); err != nil {
		return nil, fmt.Errorf("%s: %w", varURL, err)
	}
	client, err := fastly.NewClient(append(opts, auth)...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return client, nil
}

// credentials are those that a command needs.
type credentials struct {
	key   bool
	login *login // nil: none
}

// check returns an error that names what is missing. It does not prompt.
func (a *app) check(c credentials) error {
	var missing []string
	if key, _ := a.key(); c.key && key == "" {
		missing = append(missing, "an API token in "+varToken)
	}
	if c.login != nil && !c.login.byKey {
		if c.login.username(a) == "" && !a.isTerminal() {
			missing = append(missing, "a user name in "+varUsername+" or --username")
		}
		if c.login.passwordFile(a) == "" && !a.isTerminal() {
			missing = append(missing, "a password in the file of "+varPassword+" or --password-file")
		}
	}
	if len(missing) == 0 {
		return nil
	}
	err := errors.New("credentials are missing: " + strings.Join(missing, ", and "))
	return &usageError{err: err, complete: true}
}

// needs makes cmd check the credentials before its arguments, and record for
// [app.finish] that the arguments are valid.
func (a *app) needs(c credentials, cmd *cobra.Command) *cobra.Command {
	args, run := cmd.Args, cmd.RunE
	cmd.Args = func(cmd *cobra.Command, words []string) error {
		if err := a.check(c); err != nil {
			return err
		}
		if err := args(cmd, words); err != nil {
			return err
		}
		return noneEmpty(cmd.Flags())
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		if missing := a.check(c); missing != nil {
			return missing
		}
		return err
	})
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		a.started = true
		return run(cmd, words)
	}
	return cmd
}

// noArgs is [cobra.NoArgs] without the words "unknown command".
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}

// noneEmpty rejects flags without a value: they come from an unset variable of a
// script, and to ignore them could widen the request, to a token for every service.
func noneEmpty(fs *pflag.FlagSet) (err error) {
	fs.Visit(func(f *pflag.Flag) {
		if text := f.Value.String(); err == nil && (text == "" || text == "[]") {
			err = fmt.Errorf("--%s is empty", f.Name)
		}
	})
	return err
}

// login is the login of a command: its flags, and what read has returned.
type login struct {
	nameFlag, passwordFlag, otpFlag string
	byKey                           bool // use the key instead

	name     string
	password fastly.Secret
}

func (l *login) flags(fs *pflag.FlagSet) {
	fs.StringVar(&l.nameFlag, "username", "", "`name` of the user who logs in (default $"+varUsername+", else a prompt)")
	fs.StringVar(&l.passwordFlag, "password-file", "", "`file` with the password, or - for standard input (default $"+varPassword+", else a prompt)")
	fs.StringVar(&l.otpFlag, "otp-file", "", "`file` with the one-time password, or - for standard input; read only if the API asks for one (default $"+varOTP+", else a prompt)")
}

// byKeyFlag adds the flag of commands that need a key anyway.
func (l *login) byKeyFlag(fs *pflag.FlagSet) {
	fs.BoolVar(&l.byKey, "by-key", false, "create with the token of $"+varToken+" instead of a login; needs a POST to /sudo first")
}

func (l *login) username(a *app) string     { return cmp.Or(l.nameFlag, a.getenv(varUsername)) }
func (l *login) passwordFile(a *app) string { return cmp.Or(l.passwordFlag, a.getenv(varPassword)) }
func (l *login) otpFile(a *app) string      { return cmp.Or(l.otpFlag, a.getenv(varOTP)) }

// asksForCode reports whether one-time passwords are typed.
func (l *login) asksForCode(a *app) bool { return l.otpFile(a) == "" && a.isTerminal() }

// read returns the user name and password. The first time, it prompts for what
// neither a flag nor a variable provides.
func (l *login) read(ctx context.Context, a *app) (username string, password fastly.Secret, err error) {
	if l.name == "" {
		if l.name = l.username(a); l.name == "" {
			if l.name, err = a.ask(ctx, "User name: ", true); err != nil {
				return "", "", err
			}
		}
	}
	if l.password != "" {
		return l.name, l.password, nil
	}
	if file := l.passwordFile(a); file != "" {
		l.password, err = a.readSecret(ctx, file, "the password")
	} else {
		var text string
		text, err = a.ask(ctx, "Password for "+escape(l.name)+": ", false)
		l.password = fastly.Secret(text)
	}
	return l.name, l.password, err
}

// code returns the current one-time password.
func (l *login) code(ctx context.Context, a *app) (fastly.Secret, error) {
	if file := l.otpFile(a); file != "" {
		return a.readSecret(ctx, file, "the one-time password")
	}
	if !a.isTerminal() {
		return "", &usageError{complete: true, err: fmt.Errorf(
			"the account has two-factor authentication: the one-time password is missing: put it in the file of %s or --otp-file", varOTP)}
	}
	text, err := a.ask(ctx, "One-time password: ", true)
	return fastly.Secret(text), err
}

// maxSecret bounds a password, a code or a user name.
const maxSecret = 4 << 10

// readSecret reads a secret from a file, without a line break at its end, or from
// a line of standard input.
func (a *app) readSecret(ctx context.Context, path, what string) (fastly.Secret, error) {
	// A pipe, named or not, may have nothing to read yet.
	text, err := await(ctx, func() (string, error) {
		if path == "-" {
			return readLine(a.stdin)
		}
		return readFile(path)
	})
	switch {
	case err != nil:
		err = fmt.Errorf("%s: %w", what, err)
	case text == "":
		err = fmt.Errorf("%s: %s is empty", what, inputName(path))
	case strings.ContainsAny(text, "\r\n"):
		err = fmt.Errorf("%s: %s has more than one line", what, inputName(path))
	}
	if err != nil {
		return "", &usageError{err: err, complete: true}
	}
	return fastly.Secret(text), nil
}

func readFile(path string) (string, error) {
	f, err := os.Open(path) // #nosec G304 -- the user says where
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		// The path may be the secret itself, by mistake, and is not shown.
		return "", fmt.Errorf("its file can't be opened: %w", pathError.Err)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	if len(content) > maxSecret {
		return "", fmt.Errorf("%q is longer than %d bytes", path, maxSecret)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), nil
}

func inputName(path string) string {
	if path == "-" {
		return "standard input"
	}
	return fmt.Sprintf("%q", path)
}
