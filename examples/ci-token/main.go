// Ci-token runs one command with its own API token, which is limited to a scope
// and a service, and revoked when the command ends.
//
//	go install ./examples/ci-token
//	ci-token -service SU1Z0isxPaozGVKXdv0eY -- ./purge.sh
//
// The command finds its token in FASTLY_API_TOKEN. It is created by login
// (FASTLY_USERNAME, FASTLY_PASSWORD_FILE or a pipe, FASTLY_OTP_FILE), and revoked
// by the FASTLY_API_TOKEN of ci-token, which needs global scope. "fastly-token
// exec" does the same, and more: for example, it can prompt for the password.
//
// Try it with made-up tokens: go run ./examples/ci-token -demo -- env
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
	"github.com/fastly-tokens/fastly/rotate"
)

func main() { demo.Main("ci-token", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	fs := flag.NewFlagSet("ci-token", flag.ContinueOnError)
	useDemo := fs.Bool("demo", false, "use made-up tokens")
	scope := fs.String("scope", string(fastly.ScopePurgeSelect), "`scopes` of the token")
	service := fs.String("service", "", "`ID` of the service that it is limited to")
	if err := demo.Parse(fs, args, stderr, true); err != nil {
		return err
	}
	account, err := demo.Open(*useDemo, stdin, stderr)
	if err != nil {
		return err
	}
	defer account.Close()
	login, err := account.Login(ctx)
	if err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return demo.Usagef("which command?")
	}

	req := &fastly.CreateTokenRequest{
		Name: "ci-token", Scopes: fastly.ParseScopes(*scope),
		ExpiresAt: time.Now().Add(15 * time.Minute), // in case all else fails
		Username:  login.Username, Password: login.Password, OTPFunc: login.OTP,
	}
	if *service != "" {
		req.Services = []string{*service}
	}
	token, err := rotate.Create(ctx, account.Client, req, account.Client)
	if err != nil {
		return err
	}
	defer func() { // even if ctx has ended
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if revokeErr := account.Client.Tokens.RevokeToken(ctx, token.ID); revokeErr != nil && !errors.Is(revokeErr, fastly.ErrNotFound) {
			err = fmt.Errorf("token %s is NOT revoked: %w", token.ID, revokeErr)
		}
	}()

	cmd := exec.CommandContext(ctx, fs.Arg(0), fs.Args()[1:]...) // #nosec G204 -- to run a given command is what it is for
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "FASTLY_") })
	cmd.Env = append(cmd.Env, "FASTLY_API_TOKEN="+token.AccessToken.Reveal(), "FASTLY_API_URL="+account.URL)
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return demo.ExitError(exit.ExitCode())
	}
	return err
}
