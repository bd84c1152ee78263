package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/spf13/pflag"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/secretfile"
)

// login is the login of a command: its flags, and what was read.
type login struct {
	nameFlag, passwordFlag, otpFlag, totpFlag string
	byKey                                     bool // use the key instead

	name     string
	password fastly.Secret
	piped    fastly.Secret // what one-time passwords come from, if it can't be read again
	spent    int64         // the time step of the last code that was made
}

func (l *login) flags(fs *pflag.FlagSet) {
	fs.StringVar(&l.nameFlag, "username", "", "`name` of the user who logs in (default $"+varUsername+", else a prompt)")
	fs.StringVar(&l.passwordFlag, "password-file", "", "`file` with the password, or - for standard input (default $"+varPassword+", else a prompt)")
	fs.StringVar(&l.otpFlag, "otp-file", "", "`file` with the one-time password, or - for standard input; read only if the API asks for one (default $"+varOTP+", else a prompt)")
	fs.StringVar(&l.totpFlag, "totp-secret-file", "", "`file` with the base32 secret of an authenticator, to make one-time passwords from, instead of --otp-file (default $"+varTOTP+")")
	fs.BoolVar(&l.byKey, "by-key", false, "create by the API key instead of a login, which the API accepts for five minutes after a POST to /sudo")
}

func (l *login) username(a *app) string     { return cmp.Or(l.nameFlag, a.getenv(varUsername)) }
func (l *login) passwordFile(a *app) string { return cmp.Or(l.passwordFlag, a.getenv(varPassword)) }

// codeFiles returns the file with a one-time password, or with the secret to make one from, "" for
// neither. A flag goes before a variable, a secret before a code, which works for half a minute.
func (l *login) codeFiles(a *app) (otp, secret string) {
	switch {
	case l.totpFlag != "":
		return "", l.totpFlag
	case l.otpFlag != "":
		return l.otpFlag, ""
	case a.getenv(varTOTP) != "":
		return "", a.getenv(varTOTP)
	}
	return a.getenv(varOTP), ""
}

// read returns the user name and password. The first time, it prompts for what neither a flag nor a
// variable provides.
func (l *login) read(ctx context.Context, a *app) (username string, password fastly.Secret, err error) {
	if l.name = cmp.Or(l.name, l.username(a)); l.name == "" {
		if l.name, err = a.ask(ctx, "User name: ", true); err != nil {
			return "", "", err
		}
	}
	if l.password != "" {
		return l.name, l.password, nil
	}
	if file := l.passwordFile(a); file != "" {
		l.password, err = a.readSecret(ctx, file, "the password of "+varPassword+" or --password-file")
	} else {
		var text string
		text, err = a.ask(ctx, "Password for "+escape(l.name)+": ", false)
		l.password = fastly.Secret(text)
	}
	return l.name, l.password, err
}

// maxCodes is how many one-time passwords to try: the API locks accounts.
const maxCodes = 3

// withCode calls do without a source of one-time passwords, and again with one if the API asks for
// it. Another code is tried if there can be another one: two from a secret, for a clock that is
// off, and a few at a terminal.
func (l *login) withCode(a *app, do func(code func(context.Context) (fastly.Secret, error)) error) error {
	err := do(nil)
	if l.byKey {
		return err
	}
	tries := 1
	otp, secret := l.codeFiles(a)
	switch {
	case secret != "":
		tries = 2
	case otp == "" && a.unasked() == "":
		tries = maxCodes
	}
	for try := 0; try < tries && errors.Is(err, fastly.ErrOTPRequired); try++ {
		if try > 0 {
			a.say("that one-time password was not accepted")
		}
		err = do(func(ctx context.Context) (fastly.Secret, error) { return l.code(ctx, a) })
	}
	return err
}

func (l *login) code(ctx context.Context, a *app) (fastly.Secret, error) {
	otp, secret := l.codeFiles(a)
	switch {
	case secret != "":
		return l.makeCode(ctx, a, secret)
	case otp != "":
		return l.readOnce(ctx, a, otp, "the one-time password of "+varOTP+" or --otp-file")
	case a.unasked() != "":
		return "", usagef("the account has two-factor authentication: the one-time password is missing: put it in the file of "+
			"%s or --otp-file, or the secret that makes it in that of %s or --totp-secret-file; it was not asked for %s", varOTP, varTOTP, a.unasked())
	}
	text, err := a.ask(ctx, "One-time password: ", true)
	return fastly.Secret(text), err
}

// readOnce reads what one-time passwords come from, and keeps it if it comes from a pipe.
func (l *login) readOnce(ctx context.Context, a *app, path, what string) (fastly.Secret, error) {
	if l.piped != "" {
		return l.piped, nil
	}
	secret, err := a.readSecret(ctx, path, what)
	info, statErr := os.Stat(path)
	if path == "-" || statErr != nil || !info.Mode().IsRegular() { // it can't be read again
		l.piped = secret
	}
	return secret, err
}

const step = 30 // seconds for which a time-based code is shown (RFC 6238)

// makeCode makes a one-time password. The API takes each code once, so after the first it waits for
// the next one.
func (l *login) makeCode(ctx context.Context, a *app, path string) (fastly.Secret, error) {
	secret, err := l.readOnce(ctx, a, path, "the TOTP secret of "+varTOTP+" or --totp-secret-file")
	if err != nil {
		return "", err
	}
	now := a.now()
	if number := now.Unix() / step; number <= l.spent {
		next := time.Unix((l.spent+1)*step, 0)
		a.say("waiting for the next one-time password")
		if err := a.sleep(ctx, next.Sub(now)); err != nil {
			return "", err
		}
		now = next
	}
	l.spent = now.Unix() / step
	code, err := totp.GenerateCode(strings.ReplaceAll(secret.Reveal(), " ", ""), now)
	if err != nil { // whose text might quote the secret
		return "", usagef("the TOTP secret in %q is not base32, the form that authenticators show", path)
	}
	return fastly.Secret(code), nil
}

// readSecret reads a secret from a file of one line, or from a line of standard input.
func (a *app) readSecret(ctx context.Context, path, what string) (fastly.Secret, error) {
	// A pipe, named or not, may have nothing to read yet.
	text, err := await(ctx, func() (string, error) {
		if path == "-" {
			return secretfile.ReadLine(a.stdin)
		}
		return secretfile.Read(path)
	})
	if err != nil {
		return "", usagef("%s: %w", what, err)
	}
	return fastly.Secret(text), nil
}
