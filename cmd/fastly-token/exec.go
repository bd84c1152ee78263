package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/fastly-tokens/fastly"
)

const execHelp = `Runs a command with a token of its own, limited to a scope and services, which is
revoked when the command ends: for jobs whose steps need less than the API key of the job allows.

The token is created by login, and revoked by the API key of the environment, which must belong to
the same user and have the scope global.

The command finds its API key in FASTLY_API_TOKEN, or in the variable of --env. It does not get the
other credentials of the environment: the variables listed under "fastly-token help" except the base
URL, variables that contain the old API key or the password, and variables with a name that ends in
_FILE if their file contains one of these or can't be searched. (This keeps credentials from leaking by
accident. It does not stop a malicious command: processes of the same user can read each other's memory.)

The new token is tried before the command starts. If GITHUB_ACTIONS is "true", a line on standard
error makes the job's log mask it. The token is revoked however the command ends. If all else fails,
after a SIGKILL for example, it expires by itself after --ttl.

Signals are passed on to the command: SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH,
SIGTSTP and SIGCONT. A terminal sends it Ctrl-C directly, so the first one is not passed on.

The exit code is that of the command; if the token can't be revoked, 3 instead of 0.`

func (a *app) execCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run a command with a token of its own, for as long as it runs",
		Long:  execHelp,
		Example: `  fastly-token exec --service SU1Z0isxPaozGVKXdv0eY -- ./purge.sh
  fastly-token exec --env FASTLY_API_KEY -- terraform apply`,
		Args: cobra.ArbitraryArgs,
	}
	t := tokenFlags{name: "exec", scopes: []string{string(fastly.ScopePurgeSelect)}, ttl: duration(15 * time.Minute)}
	t.add(cmd)
	cmd.Flags().SetInterspersed(false) // the command's flags are its own
	x := execution{app: a}
	cmd.Flags().StringVar(&x.variable, "env", varToken, "environment `variable` in which the command finds its API key")
	x.login.flags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, command []string) (err error) {
		switch {
		case len(command) == 0:
			return usagef("there is no command to run")
		case !variableName.MatchString(x.variable):
			return usagef("--env is not the name of an environment variable")
		case otherUse.MatchString(x.variable):
			return usagef("--env: %s is not a variable for an API key", x.variable)
		case t.ttl == 0:
			return usagef("--ttl must be at least a second, so that the token expires by itself")
		}
		x.command = command
		if x.req, err = t.request(); err != nil {
			return err
		}
		return x.run(cmd.Context())
	}
	return a.prepared(needs{key: true, login: &x.login}, cmd)
}

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// otherUse matches variables in which a key would break a command, or be shown. Windows ignores case.
	otherUse = regexp.MustCompile(`(?i)^(PATH|(DY)?LD_\w+|\w+_FILE|FASTLY_(\w+_)?(URL|ID|USERNAME|PASSWORD|OTP|SECRET))$`)
)

type execution struct {
	*app
	login    login
	req      *fastly.CreateTokenRequest
	variable string
	command  []string
	client   *fastly.Client
}

func (x *execution) run(ctx context.Context) (err error) {
	if _, err := exec.LookPath(x.command[0]); err != nil { // before a token is created
		x.say("%v", err)
		return exitError(commandCode(err))
	}
	if x.client, err = x.app.client(); err != nil {
		return err
	}
	x.readFiles(ctx, &x.login)
	// A second signal must not end the process before the token is revoked.
	x.interruptOnSignals(func(int) {})
	token, err := x.create(ctx)
	if err != nil {
		return err
	}
	signals := x.queueSignals()
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), x.discard(token, x.client, true))
	}
	x.say("created token %s: %s, expires %s", escape(token.ID), escape(token.Scopes.String()), stamp(token.ExpiresAt))
	env := append(x.childEnv(&x.login), x.variable+"="+token.AccessToken.Reveal())
	code := x.runCommand(ctx, x.command, env, signals)
	err = x.discard(token, x.client, true)
	switch {
	case err == nil:
		x.say("revoked token %s", escape(token.ID))
	case code == 0:
		return err
	default:
		x.say("%s", explain(err))
	}
	return exitError(code)
}

// create creates the command's token, and tries it. If that fails, no token is left.
func (x *execution) create(ctx context.Context) (*fastly.TokenCreatedResponse, error) {
	current, err := x.client.Tokens.GetTokenCurrent(ctx)
	if err != nil {
		return nil, err
	}
	if !current.Scopes.Has(fastly.ScopeGlobal) {
		return nil, fmt.Errorf("the API key has the scope %s, but revoking another token takes the scope global", current.Scopes)
	}
	token, err := x.createToken(ctx, x.client, x.req, &x.login, x.client)
	if token == nil {
		return nil, err
	}
	if x.getenv("GITHUB_ACTIONS") == "true" && token.AccessToken != "" {
		_, _ = io.WriteString(x.stderr, "::add-mask::"+token.AccessToken.Reveal()+"\n")
	}
	more := excess(x.req, token)
	switch {
	case err != nil:
	case token.UserID != current.UserID:
		err = errors.New("the login and the API key belong to different users")
	case more != "":
		err = errors.New("the new token is not what was requested: " + more)
	default:
		err = x.try(ctx, token)
	}
	if err != nil {
		return nil, x.giveBack(token, err)
	}
	return token, nil
}

// try waits until a new token works. A purge token need not be allowed to read itself.
func (x *execution) try(ctx context.Context, token *fastly.TokenCreatedResponse) error {
	client, err := x.newClient("the new access token", fastly.WithAPIKey(token.AccessToken.Reveal()))
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	err = x.whileNew(ctx, fastly.ErrUnauthorized, func() error {
		_, err := client.Tokens.GetTokenCurrent(ctx)
		return err
	})
	switch {
	case err == nil, errors.Is(err, fastly.ErrForbidden):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("the new token does not work: %w", err)
}

// commandCode is the exit code for a command that can't be executed.
func commandCode(err error) int {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) || errors.Is(err, exec.ErrDot) {
		return exitNotFound
	}
	return exitNotExecutable
}
