// Ci-token runs one command with its own API token, which is limited to a scope
// and a service, and revoked when the command ends.
//
//	ci-token -service SU1Z0isxPaozGVKXdv0eY -- ./purge.sh
//
// The command finds its API key in FASTLY_API_TOKEN. The token is created by login
// (FASTLY_USERNAME, FASTLY_PASSWORD_FILE and, for two-factor authentication,
// FASTLY_OTP_FILE), and revoked by the API key that ci-token has in FASTLY_API_TOKEN,
// which must be of scope global. "fastly-token exec" can do more.
//
// Try it with a made-up account ("go run" makes 1 of any exit code but 0):
//
//	fastly-token serve -- go run ./examples/ci-token -- sh -c 'echo $FASTLY_API_URL'
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/rotate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code, err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ci-token:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// run returns the exit code of the command.
func run(ctx context.Context) (code int, err error) {
	scope := flag.String("scope", "purge_select", "`scopes` of the token")
	service := flag.String("service", os.Getenv("FASTLY_SERVICE_ID"), "`ID` of the service that it is limited to")
	flag.Parse()
	scopes := fastly.ParseScopes(*scope)
	if len(scopes) == 0 || *service == "" || flag.NArg() == 0 { // or it would be wider than meant
		return 0, errors.New("want a command, a -scope and a -service")
	}
	username, passwordFile := os.Getenv("FASTLY_USERNAME"), os.Getenv("FASTLY_PASSWORD_FILE")
	if username == "" || passwordFile == "" {
		return 0, errors.New("set FASTLY_USERNAME and FASTLY_PASSWORD_FILE: only a login creates tokens")
	}
	password, passwordErr := os.ReadFile(passwordFile)
	client, clientErr := fastly.NewClientFromEnv()
	if err := errors.Join(passwordErr, clientErr); err != nil {
		return 0, err
	}
	req := &fastly.CreateTokenRequest{
		Name: "ci-token", Scopes: scopes, Services: []string{*service}, Lifetime: 15 * time.Minute,
		Username: username, Password: fastly.Secret(strings.TrimRight(string(password), "\r\n")),
	}
	if otpFile := os.Getenv("FASTLY_OTP_FILE"); otpFile != "" {
		req.OTPFunc = fastly.KeyFile(otpFile) // reads any secret of one line
	}
	token, err := rotate.Create(ctx, client, req, client)
	if token != nil && token.ID != "" { // perhaps with an error
		defer func() { err = errors.Join(err, revoke(ctx, client, token.ID)) }()
	}
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, flag.Arg(0), flag.Args()[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "FASTLY_") && !strings.HasPrefix(entry, "FASTLY_API_URL=")
	})
	cmd.Env = append(cmd.Env, "FASTLY_API_TOKEN="+token.AccessToken.Reveal(), "FASTLY_SERVICE_ID="+*service)
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exit.ExitCode(), nil // the command has said why
	}
	return 0, err
}

// revoke revokes the token, even if ctx has ended.
func revoke(ctx context.Context, client *fastly.Client, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := client.Tokens.RevokeToken(ctx, id); err != nil && !errors.Is(err, fastly.ErrNotFound) {
		return fmt.Errorf("token %q is NOT revoked: %w", id, err)
	}
	return nil
}
