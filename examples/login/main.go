// Login creates an API token by user name and password, and writes the access
// token to a new file, which only you can read.
//
//	FASTLY_USERNAME=ada@example.com FASTLY_PASSWORD_FILE=password login -scope purge_all -out token
//
// If the account has two-factor authentication, FASTLY_OTP_FILE names a file with
// the one-time password.
//
// Try it with a made-up account:
//
//	fastly-token serve -- go run ./examples/login -out token
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/rotate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "login:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	scope := flag.String("scope", "global:read", "`scopes` of the token")
	lifetime := flag.Duration("lifetime", 90*24*time.Hour, "`time` for which it works, such as 12h")
	out := flag.String("out", "", "new `file` for the access token")
	flag.Parse()
	scopes := fastly.ParseScopes(*scope)
	if len(scopes) == 0 || *lifetime <= 0 { // the API would make it global, or without an end
		return errors.New("-scope and -lifetime must not be empty")
	}
	username, passwordFile := os.Getenv("FASTLY_USERNAME"), os.Getenv("FASTLY_PASSWORD_FILE")
	if username == "" || passwordFile == "" {
		return errors.New("set FASTLY_USERNAME and FASTLY_PASSWORD_FILE: only a login creates tokens")
	}
	password, err := readSecret(passwordFile)
	if err != nil {
		return err
	}
	req := &fastly.CreateTokenRequest{
		Name: "login", Scopes: scopes, Lifetime: *lifetime, Username: username, Password: password,
	}
	if otpFile := os.Getenv("FASTLY_OTP_FILE"); otpFile != "" {
		req.OTPFunc = func(context.Context) (fastly.Secret, error) { return readSecret(otpFile) }
	}
	baseURL := cmp.Or(os.Getenv("FASTLY_API_URL"), fastly.DefaultBaseURL)
	client, err := fastly.NewClient(fastly.WithoutAuthentication(), fastly.WithBaseURL(baseURL))
	if err != nil {
		return err
	}
	// The API shows the access token only once, so make a place for it first.
	file, err := os.OpenFile(*out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("-out must name a new file: %w", err)
	}
	created, err := rotate.Create(ctx, client, req, nil) // with a name that is unique
	if created == nil || created.AccessToken == "" {
		return errors.Join(err, file.Close(), os.Remove(*out)) // err says what may exist
	}
	// The token exists, whatever else went wrong: keep it.
	_, writeErr := file.WriteString(created.AccessToken.Reveal())
	if keepErr := errors.Join(writeErr, file.Sync(), file.Close()); keepErr != nil {
		return errors.Join(err, fmt.Errorf("token %q exists, but nobody holds it: revoke it: %w", created.ID, keepErr))
	}
	fmt.Printf("The access token of token %q (%q, %q) is in %q.\n", created.ID, created.Name, created.Scopes, *out)
	return err
}

// readSecret returns what a file holds, without the line break at its end.
func readSecret(path string) (fastly.Secret, error) {
	text, err := os.ReadFile(path)
	return fastly.Secret(strings.TrimRight(string(text), "\r\n")), err
}
