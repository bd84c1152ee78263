// Rotate replaces an API token with a new one of the same name, scopes, services
// and lifetime, hands it over in a file, and then revokes the old one.
//
//	rotate -out /etc/deploy/fastly-token -grace 10m
//
// The token is the one that the file holds, or that of -id. The key in FASTLY_API_TOKEN,
// of scope global and of the same user, looks at it and revokes it. The new one is
// created by login: FASTLY_USERNAME, FASTLY_PASSWORD_FILE and, if the account has
// two-factor authentication, FASTLY_OTP_FILE. A service that reads its key with
// fastly.KeyFile needs no restart. After a crash, run it again to finish the rotation.
//
// Try it with a made-up account, and a token that another example creates:
//
//	fastly-token serve -- sh -c 'go run ./examples/login -out token; go run ./examples/rotate -out token'
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
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
		fmt.Fprintln(os.Stderr, "rotate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	id := flag.String("id", "", "`ID` of the token (default the one that the file holds)")
	grace := flag.Duration("grace", 0, "`time` for which the old token still works after the handover")
	out := flag.String("out", "", "`file` that gets the access token")
	flag.Parse()
	client, err := fastly.NewClientFromEnv()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *grace+5*time.Minute)
	defer cancel()
	if *id == "" { // Rotation would take client's own token, and the file would get its rights
		holder, err := client.With(fastly.WithAPIKeyFunc(fastly.KeyFile(*out)))
		if err != nil {
			return err
		}
		token, err := holder.Tokens.GetTokenCurrent(ctx)
		if err != nil {
			return fmt.Errorf("which token? -out holds none that works, and -id names none: %w", err)
		}
		*id = token.ID
	}
	result, err := (&rotate.Rotation{
		Client:   client, // reads and revokes
		TokenID:  *id,
		Login:    login, // creates
		Handover: rotate.WriteFile(*out),
		Grace:    *grace,
		Journal:  rotate.FileJournal(*out + ".rotation"),
		Logger:   slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}).Run(ctx)
	if err != nil {
		return err // which says what exists, and what is left to do
	}
	fmt.Printf("Token %q replaces token %q.\n", result.New.ID, result.Old.ID)
	return nil
}

// login returns the login of the environment.
func login(context.Context) (rotate.Login, error) {
	username, passwordFile := os.Getenv("FASTLY_USERNAME"), os.Getenv("FASTLY_PASSWORD_FILE")
	if username == "" || passwordFile == "" {
		return rotate.Login{}, errors.New("set FASTLY_USERNAME and FASTLY_PASSWORD_FILE: only a login creates tokens")
	}
	password, err := readSecret(passwordFile)
	login := rotate.Login{Username: username, Password: password}
	if otpFile := os.Getenv("FASTLY_OTP_FILE"); otpFile != "" {
		login.OTP = func(context.Context) (fastly.Secret, error) { return readSecret(otpFile) }
	}
	return login, err
}

// readSecret returns what a file holds, without the line break at its end.
func readSecret(path string) (fastly.Secret, error) {
	text, err := os.ReadFile(path)
	return fastly.Secret(strings.TrimRight(string(text), "\r\n")), err
}
