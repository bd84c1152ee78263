// Login creates an API token by user name and password, the only way that works
// unattended on a real account, and writes the access token to a file.
//
//	go install ./examples/login
//	FASTLY_USERNAME=ada@example.com FASTLY_PASSWORD_FILE=password login -scope purge_all -out token
//	pass fastly | FASTLY_USERNAME=ada@example.com FASTLY_OTP_FILE=code login -out token
//
// It does not prompt for the password; "fastly-token create" does.
//
// Try it with a made-up user: go run ./examples/login -demo -out token
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
	"github.com/fastly-tokens/fastly/rotate"
)

func main() { demo.Main("login", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("login", flag.ContinueOnError)
	useDemo := fs.Bool("demo", false, "use a made-up user")
	name := fs.String("name", "login", "`name` of the token")
	scope := fs.String("scope", string(fastly.ScopeGlobalRead), "`scopes` of the token")
	ttl := fs.Duration("ttl", 90*24*time.Hour, "`time` for which it works, such as 12h")
	out := fs.String("out", "", "new `file` for the access token")
	if err := demo.Parse(fs, args, stderr, false); err != nil {
		return err
	}
	account, err := demo.OpenLogin(*useDemo, stdin, stderr)
	if err != nil {
		return err
	}
	defer account.Close()
	login, err := account.Login(ctx)
	if err != nil {
		return err
	}
	// The API shows the access token only once, so make a place for it first.
	f, err := os.OpenFile(*out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // #nosec G304 -- the user says where
	if err != nil {
		return demo.Usagef("-out must name a new file: %w", err)
	}
	_ = f.Close() // WriteFile replaces it

	created, err := rotate.Create(ctx, account.Client, &fastly.CreateTokenRequest{
		Name:      *name,
		Scopes:    fastly.ParseScopes(*scope),
		ExpiresAt: time.Now().Add(*ttl),
		Username:  login.Username,
		Password:  login.Password,
		OTPFunc:   login.OTP,
	}, nil)
	if created == nil || created.AccessToken == "" {
		_ = os.Remove(*out)
		return err // which says what may exist nevertheless
	}
	// The token exists, whatever else went wrong. Keep it even if ctx has ended.
	if keepErr := rotate.WriteFile(*out).Put(context.WithoutCancel(ctx), created); keepErr != nil {
		return errors.Join(err, fmt.Errorf("token %s exists, but nobody holds it: revoke it: %w", created.ID, keepErr))
	}
	_, printErr := fmt.Fprintf(stdout, "Token %s (%q, %q) is in %q.\n", created.ID, created.Name, created.Scopes, *out)
	return errors.Join(err, printErr)
}
