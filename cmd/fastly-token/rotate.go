package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/rotate"
)

func (a *app) rotateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate [ID] (--out FILE | -- COMMAND [ARGUMENT...])",
		Short: "Replace a token with a new one like it",
		Long: `Replaces a token with a new one of the same name, scopes, services and lifetime:
creates the new one, checks that it works, hands it over, and only then revokes
the old one. The token is that of the environment, or the one with the given ID,
which must belong to the same user. The name ends in random letters, which make
it unique.

The new token goes to a file (--out), which is replaced atomically and which
only you can read, or to the standard input of a command. No line break follows
it. A command must end with exit code 0 if and only if it has taken the token.
Its environment has no credentials, as with exec.

The new token is created by login. With --by-key it is created with the token of
the environment, which the API accepts for five minutes after a POST to /sudo.

With --grace the old token still works for a while after the handover. The
program waits for the end of that period, or with --no-wait leaves the revoke to
the next run.

If a step fails, the earlier ones are undone. After a crash or an interruption,
run the same command again to finish the rotation. A state file records its
progress. It holds no secret, and prevents a second run with the same file while
the first one, or its command, still runs. It is beside the file of --out, or
where --state says. For a command it is in the user's configuration directory:
one file for each ID, and another one for runs without an ID.`,
		Example: `  fastly-token rotate --out /etc/deploy/fastly-token --grace 10m
  fastly-token rotate 5sNpEx2UkYf9WdTa6mJv4G -- vault kv put kv/fastly token=-`,
		Args: func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); n >= 0 {
				args = args[:n]
			}
			if len(args) > 1 {
				return fmt.Errorf("want at most the ID of one token before --, and not %d arguments", len(args))
			}
			return nil
		},
	}
	r := rotation{app: a}
	fs := cmd.Flags()
	fs.StringVar(&r.out, "out", "", "`file` that gets the access token")
	fs.Var(&r.ttl, "ttl", "`time` for which the new token works, such as 90d (default as long as the old one)")
	fs.Var(&r.grace, "grace", "`time` for which the old token works after the handover")
	fs.BoolVar(&r.noWait, "no-wait", false, "do not wait for the end of the grace period: the next run revokes the old token")
	fs.StringVar(&r.state, "state", "", "`file` that records the progress of an unfinished rotation")
	r.login.flags(fs)
	asJSON := jsonFlag(fs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if n := cmd.ArgsLenAtDash(); n >= 0 {
			args, r.command = args[:n], args[n:]
		}
		if len(args) > 0 {
			if r.id = args[0]; r.id == "" { // not the token of the environment
				return usagef("the ID of the token is empty")
			}
		}
		return r.run(cmd.Context(), *asJSON)
	}
	return a.prepared(needs{key: true, login: &r.login}, cmd)
}

// rotation is one run of the command.
type rotation struct {
	*app
	login          login
	id, out, state string
	ttl, grace     duration
	noWait         bool
	command        []string
}

func (r *rotation) run(ctx context.Context, asJSON bool) error {
	if err := r.check(); err != nil {
		return err
	}
	client, err := r.client()
	if err != nil {
		return err
	}
	engine := &rotate.Rotation{
		Client: client, TokenID: r.id, Lifetime: time.Duration(r.ttl),
		Connect: r.clientOf, Grace: time.Duration(r.grace), NoWait: true,
		Journal: rotate.FileJournal(r.state),
	}
	if r.out != "" {
		engine.Handover = rotate.WriteFile(r.out)
	} else {
		engine.Handover.Put = r.hand
	}
	result, err := r.runEngine(ctx, engine)
	if err == nil && result.State == rotate.StateHandedOver && !r.noWait {
		r.say("handed over token %s; token %s works until %s", escape(result.New.ID), escape(result.Old.ID), stamp(result.RevokeAt))
		engine.NoWait = false
		result, err = engine.Run(ctx)
	}
	err = rotationError(err)
	if asJSON {
		return errors.Join(err, r.printJSON(rotated{
			State: result.State.String(), Old: result.Old, New: result.New,
			RevokeAt: result.RevokeAt, Revoked: append([]string{}, result.Revoked...), Left: append([]string{}, result.Left...),
		}))
	}
	if err != nil {
		return err
	}
	text := r.describe(&result.New)
	if result.State == rotate.StateHandedOver {
		text += fmt.Sprintf("\nToken %s works until %s: run this again then, to revoke it.\n", escape(result.Old.ID), stamp(result.RevokeAt))
	} else {
		text += fmt.Sprintf("\nToken %s is revoked.\n", escape(result.Old.ID))
	}
	return r.print(text)
}

// runEngine runs the engine, with one-time passwords if the API wants them.
func (r *rotation) runEngine(ctx context.Context, engine *rotate.Rotation) (result rotate.Result, err error) {
	err = r.login.withCode(r.app, func(code func(context.Context) (fastly.Secret, error)) (err error) {
		if !r.login.byKey {
			engine.Login = func(ctx context.Context) (rotate.Login, error) {
				username, password, err := r.login.read(ctx, r.app)
				return rotate.Login{Username: username, Password: password, OTP: code}, err
			}
		}
		result, err = engine.Run(ctx)
		return err
	})
	return result, err
}

// rotated is the result as JSON.
type rotated struct {
	State    string               `json:"state"`
	Old      fastly.TokenResponse `json:"old,omitzero"`
	New      fastly.TokenResponse `json:"new,omitzero"`
	RevokeAt time.Time            `json:"revoke_at,omitzero"`
	Revoked  []string             `json:"revoked"`
	Left     []string             `json:"left"`
}

// rotationError makes an error a leftError if the rotation left something behind.
func rotationError(err error) error {
	var failed *rotate.Error
	if !errors.As(err, &failed) {
		return err
	}
	switch state := failed.Result.State; {
	case state == rotate.StateUnchanged, errors.Is(err, rotate.ErrLocked),
		state == rotate.StateHandedOver && errors.Is(err, context.Canceled):
		return err
	}
	return &leftError{err}
}

// check rejects wrong usage before anything is done.
func (r *rotation) check() (err error) {
	switch {
	case r.out != "" && len(r.command) > 0:
		return usagef("--out and a command are two ways to hand the token over: use one")
	case r.out == "" && len(r.command) == 0:
		return usagef("say where the token goes: --out FILE, or a command after --")
	case r.id != "" && !idForm.MatchString(r.id):
		return usagef("%q is not the ID of a token", r.id)
	case r.ttl > 0 && time.Duration(r.ttl) < time.Second:
		return usagef("--ttl is shorter than a second")
	}
	if len(r.command) > 0 {
		// Find a mistyped command before a token is created.
		if _, err := exec.LookPath(r.command[0]); err != nil {
			return &usageError{err: err}
		}
	}
	if r.out != "" {
		if r.out, err = writable(r.out); err != nil {
			return usagef("--out: %w", err)
		}
	}
	return r.setState()
}

// writable returns the absolute path without symbolic links in its directory, in
// which files can be created.
func writable(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err == nil {
		err = checkWritable(dir)
	}
	return filepath.Join(dir, filepath.Base(path)), err
}

// setState sets the path of the state file unless the user has.
func (r *rotation) setState() (err error) {
	switch {
	case r.state != "":
		if r.state, err = writable(r.state); err != nil {
			return usagef("--state: %w", err)
		}
		if strings.EqualFold(r.state, r.out) || strings.EqualFold(r.state+".lock", r.out) { // as some file systems have it
			return usagef("--state and --out are two files: the one is removed in the end, the other holds the token")
		}
		return nil
	case r.out != "":
		r.state = filepath.Join(filepath.Dir(r.out), "."+filepath.Base(r.out)+".rotation")
		return nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return usagef("there is no place for the state file: use --state: %w", err)
	}
	name := r.id
	if name == "" {
		name = "current"
	}
	r.state = filepath.Join(dir, "fastly-token", name+".rotation")
	return os.MkdirAll(filepath.Dir(r.state), 0o700)
}
