package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/fastly-tokens/fastly"
)

// Exit codes of exec beside those of its command, as in env(1) and timeout(1).
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

func (a *app) execCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run a command with a token of its own, for as long as it runs",
		Long: `Runs a command with a token of its own, limited to a scope and services, which
is revoked when the command ends: for jobs whose steps need less than the job's
key.

The token is created by login. With --by-key it is created with the token of the
environment, which the API accepts for five minutes after a POST to /sudo. The
token of the environment must belong to the same user and have the scope global,
because it revokes the new one.

The command finds its token in FASTLY_API_TOKEN, or in the variable of --env. It
gets no other FASTLY_ variable, and none that holds the environment's token or
the password. (This keeps a key from leaking by accident. It does not stop a
malicious command: processes of the same user can read each other's memory.) To
hand on a base URL, for example, put env(1) before the command.

The token is revoked however the command ends. SIGINT, SIGTERM, SIGHUP and
SIGQUIT are passed on to the command. A terminal sends it Ctrl-C directly, so
the first one is not passed on. If all else fails, after a SIGKILL for example,
the token expires by itself after --ttl.

The exit code is that of the command, 128 and the signal's number if a signal
ended it, 126 if it can't be executed and 127 if there is no such command. If
the token can't be revoked, it is 3 instead of 0.`,
		Example: `  fastly-token exec --service SU1Z0isxPaozGVKXdv0eY -- ./purge.sh
  fastly-token exec -- env FASTLY_API_URL="$FASTLY_API_URL" ./purge.sh`,
		Args: cobra.ArbitraryArgs,
	}
	t := tokenFlags{name: "exec", scopes: []string{string(fastly.ScopePurgeSelect)}, ttl: duration(15 * time.Minute)}
	t.add(cmd)
	cmd.Flags().SetInterspersed(false) // the command's flags are its own
	x := execution{app: a}
	cmd.Flags().StringVar(&x.variable, "env", varToken, "environment `variable` that the command finds the token in")
	x.login.flags(cmd.Flags())
	x.login.byKeyFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, command []string) (err error) {
		switch {
		case len(command) == 0:
			return usagef("there is no command to run")
		case !variableName.MatchString(x.variable):
			return usagef("--env is not the name of an environment variable")
		case t.ttl == 0:
			return usagef("--ttl must be at least a second, so that the token expires by itself")
		}
		x.command = command
		if x.req, err = t.request(a.now()); err != nil {
			return err
		}
		return x.run(cmd.Context())
	}
	return a.needs(credentials{key: true, login: &x.login}, cmd)
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// execution is one run of the command.
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
	// A second signal must not end the process before the token is revoked.
	x.handleSignals(func(sig os.Signal) { x.interrupt(interruption{sig}) })
	current, err := x.client.Tokens.GetTokenCurrent(ctx)
	switch {
	case err != nil:
		return err
	case !current.Scopes.Has(fastly.ScopeGlobal):
		return fmt.Errorf("the token of the environment has the scope %s, but revoking another one takes the scope global", current.Scopes)
	}
	token, err := x.createToken(ctx, x.client, x.req, &x.login, x.client)
	if err != nil {
		if token != nil && token.ID != "" {
			err = errors.Join(err, x.revoke(token))
		}
		return err
	}
	if token.UserID != current.UserID {
		problem := errors.New("the login and the token of the environment belong to different users")
		if x.client.Tokens.RevokeToken(ctx, token.ID) == nil {
			return problem
		}
		return x.giveBack(ctx, token, problem) // the token of the environment may not even see it
	}
	if more := excess(x.req, token); more != "" {
		return errors.Join(errors.New("the new token is not what was requested: "+more), x.revoke(token))
	}
	signals := x.queueSignals()
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), x.revoke(token))
	}
	x.say("created token %s: %s, expires %s", escape(token.ID), escape(token.Scopes.String()), stamp(token.ExpiresAt))
	env := append(x.childEnv(x.login.password), x.variable+"="+token.AccessToken.Reveal())
	code := x.runCommand(x.command, env, signals)
	if err := x.revoke(token); err != nil && code == 0 {
		return err
	} else if err != nil {
		x.say("%s", explain(err))
	} else {
		x.say("revoked token %s", escape(token.ID))
	}
	return codeError(code)
}

// revoke revokes the token, even after an interruption.
func (x *execution) revoke(token *fastly.TokenCreatedResponse) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTime)
	defer cancel()
	err := x.client.Tokens.RevokeToken(ctx, token.ID)
	if err == nil || errors.Is(err, fastly.ErrNotFound) { // the command may have revoked it
		return nil
	}
	return &leftError{fmt.Errorf("token %s was NOT revoked: it works until it expires, %s, or you revoke it: %w", token.ID, stamp(token.ExpiresAt), err)}
}

// commandCode is the exit code for a command that can't be executed.
func commandCode(err error) int {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) || errors.Is(err, exec.ErrDot) {
		return exitNotFound
	}
	return exitNotExecutable
}
