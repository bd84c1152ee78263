// Rotate replaces an API token with a new one of the same name, scopes, services
// and lifetime, hands it over in a file, and then revokes the old one.
//
//	go install ./examples/rotate
//	rotate -out /etc/deploy/fastly-token -grace 10m
//
// A service that reads its key with fastly.WithAPIKeyFunc(fastly.KeyFile(path))
// needs no restart. The token is that of FASTLY_API_TOKEN, or of -id. The new one
// is created by login: FASTLY_USERNAME, FASTLY_PASSWORD_FILE or a pipe,
// FASTLY_OTP_FILE. After a crash, run it again to finish the rotation.
//
// Try it with made-up tokens: go run ./examples/rotate -demo -out token
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/fastly-tokens/fastly/examples/internal/demo"
	"github.com/fastly-tokens/fastly/rotate"
)

func main() { demo.Main("rotate", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("rotate", flag.ContinueOnError)
	useDemo := fs.Bool("demo", false, "use made-up tokens")
	id := fs.String("id", "", "`ID` of the token (default that of FASTLY_API_TOKEN)")
	ttl := fs.Duration("ttl", 0, "`time` for which the new token works (default as long as the old one)")
	grace := fs.Duration("grace", 0, "`time` for which the old one still works after the handover")
	out := fs.String("out", "", "`file` that gets the access token")
	if err := demo.Parse(fs, args, stderr, false); err != nil {
		return err
	}
	account, err := demo.Open(*useDemo, stdin, stderr)
	if err != nil {
		return err
	}
	defer account.Close()
	if *out == "" {
		return demo.Usagef("where should the token go? Use -out")
	}

	rotation := &rotate.Rotation{
		Client:   account.Client, // reads and revokes
		TokenID:  *id,
		Lifetime: *ttl,
		Login:    account.Login,   // creates
		Connect:  account.Connect, // checks that the new token works
		Handover: rotate.WriteFile(*out),
		Grace:    *grace,
		Journal:  rotate.FileJournal(*out + ".rotation"),
		Logger:   slog.New(slog.NewTextHandler(stderr, nil)),
	}
	result, err := rotation.Run(ctx)
	if err != nil {
		return err // which says what exists, and what is left to do
	}
	_, err = fmt.Fprintf(stdout, "Token %s replaces token %s.\n", result.New.ID, result.Old.ID)
	return err
}
