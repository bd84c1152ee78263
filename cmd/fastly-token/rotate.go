package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/atomicfile"
	"github.com/fastly-tokens/fastly/internal/plain"
	"github.com/fastly-tokens/fastly/rotate"
)

const rotateHelp = `Replaces a token with a new one of the same name, scopes, services and lifetime:
creates the new one, checks that it works, hands it over, and only then revokes the old one. Which
token: that of the API key, the one with the given ID, or with --current the one whose access token
is in the file of --out, for a job that runs again and again. It must belong to the user of the API
key, which --current does not need if the old token has the scope global.

The new access token goes to a file (--out), which is replaced atomically and keeps its owner and
mode, except that others lose access; or to the standard input of a command, without a line break. A
command must end with exit code 0 if and only if it has taken the access token, and read all of it.
It gets no credentials in its environment.

The new token is created by login. Random letters at the end of its name make the name unique.

If a step fails, the earlier ones are undone. After a crash or an interruption, run the same command
again, on the same machine, to finish the rotation: a state file records how far it got. It holds no
secret, and keeps a second run from starting while the first one, or its command, still runs. If two
machines rotate the same token, they must share one state file. It is beside the file of --out, or
where --state says; for a command it is in the user's configuration directory, one for each ID.`

func (a *app) rotateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate [ID | --current] (--out FILE | -- COMMAND [ARGUMENT...])",
		Short: "Replace a token with a new one like it",
		Long:  rotateHelp,
		Example: `  fastly-token rotate --current --out /etc/purger/fastly-token --grace 10m
  fastly-token rotate 5sNpEx2UkYf9WdTa6mJv4G -- vault kv put kv/fastly token=-`,
		Args: cobra.ArbitraryArgs,
	}
	r := rotation{app: a}
	fs := cmd.Flags()
	fs.BoolVar(&r.current, "current", false, "rotate the token whose access token is in the file of --out")
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
		if len(args) > 1 {
			return usagef("want at most one argument before --, the ID of a token; got %d", len(args))
		}
		if cmd.Flags().Changed("ttl") && time.Duration(r.ttl) < time.Second {
			return usagef("--ttl must be at least a second; without it, the new token works as long as the old one")
		}
		if len(args) == 1 {
			if err := checkID("the argument", args[0]); err != nil { // even "": it is not the token of the API key
				return err
			}
			r.id = args[0]
		}
		return r.run(cmd.Context(), *asJSON)
	}
	return a.prepared(needs{key: true, unless: &r.current, login: &r.login}, cmd)
}

type rotation struct {
	*app
	login          login
	id, out, state string
	ttl, grace     duration
	current        bool
	noWait         bool
	command        []string
}

func (r *rotation) run(ctx context.Context, asJSON bool) error {
	if err := r.check(ctx); err != nil {
		return err
	}
	client, err := r.clients(ctx)
	if err != nil {
		return err
	}
	engine := &rotate.Rotation{
		Client: client, TokenID: r.id, Lifetime: time.Duration(r.ttl), Grace: time.Duration(r.grace), NoWait: true,
		Journal: rotate.FileJournal(r.state), Logger: r.logger(), Handover: rotate.Handover{Put: r.hand},
	}
	if r.out != "" {
		engine.Handover = rotate.WriteFile(r.out)
	}
	_, stateErr := os.Lstat(r.state)
	isOwn := r.id == "" && stateErr != nil // the token of the API key is to be rotated, from the beginning
	if isOwn && r.out != "" {
		if err := r.checkOut(ctx, engine.Handover); err != nil {
			return err
		}
	}
	result, err := r.runEngine(ctx, engine)
	if err == nil && result.State == rotate.StateHandedOver && !r.noWait {
		r.say("handed over token %s; token %s works until %s", escape(result.New.ID), escape(result.Old.ID), stamp(result.RevokeAt))
		engine.NoWait = false
		result, err = engine.Run(ctx)
	}
	if err == nil && isOwn && r.readKey(ctx).value == r.key.value {
		r.say("token %s was that of the API key in %s, which stops working with it", escape(result.Old.ID), r.key.variable)
	}
	if err == nil && result.Unknown {
		lost := fmt.Errorf("an earlier create had no response: a token named %q may exist that nobody holds; look for it with fastly-token list", result.Name)
		return errors.Join(r.report(result, nil, asJSON), &leftError{lost})
	}
	return r.report(result, r.rotationError(err), asJSON)
}

// checkOut rejects a file with an access token other than the API key: was --current forgotten?
func (r *rotation) checkOut(ctx context.Context, out rotate.Handover) error {
	held, err := out.Get(ctx)
	if err == nil && plain.HasWord(held.Reveal(), plain.AccessTokenLength) && held != r.key.value {
		err = usagef("--out: %q holds an access token other than the API key in %s, whose token is rotated without --current: "+
			"add --current or the ID of a token, or remove the file", r.out, r.key.variable)
	}
	return err
}

// clients returns the client that reads and revokes, and with --current finds the token to rotate.
func (r *rotation) clients(ctx context.Context) (client *fastly.Client, err error) {
	if r.key.value != "" {
		client, err = r.client()
	}
	if err != nil || !r.current {
		return client, err
	}
	key, err := fastly.KeyFile(r.out)(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; create it with fastly-token create --scope SCOPE --out %q", err, r.out)
	}
	if err != nil {
		return nil, fmt.Errorf("--current: %w", err)
	}
	holder, err := r.newClient("the access token in "+r.out, fastly.WithAPIKey(key.Reveal()))
	if err != nil {
		return nil, err
	}
	token, err := holder.Tokens.GetTokenCurrent(ctx)
	if errors.Is(err, fastly.ErrUnauthorized) {
		err = fmt.Errorf("%w; if %q exists, finish that rotation first, with the ID of the old token, which is in that file; otherwise replace the token with fastly-token create --scope SCOPE --out %q --force", err, r.state, r.out)
	}
	if err != nil {
		return nil, fmt.Errorf("--current: the access token in %q: %w", r.out, err)
	}
	r.id = token.ID
	return cmp.Or(client, holder), nil
}

// report prints the result. If stdout can't be written, stderr says what was done.
func (r *rotation) report(result rotate.Result, err error, asJSON bool) error {
	view := rotated{
		State: result.State.String(), Old: result.Old, New: result.New, RevokeAt: result.RevokeAt,
		Revoked: append([]string{}, result.Revoked...), Left: append([]string{}, result.Left...), Unknown: result.Unknown,
	}
	done := fmt.Sprintf("Token %s is revoked.", escape(result.Old.ID))
	if result.State == rotate.StateHandedOver {
		view.StateFile = r.state
		done = fmt.Sprintf("Token %s works until %s: run this again then, on this machine, to revoke it. The state is in %q.", escape(result.Old.ID), stamp(result.RevokeAt), r.state)
	}
	text := r.describe(&result.New) + "\n" + done + "\n"
	if asJSON {
		text = toJSON(view)
	}
	switch {
	case err == nil:
		return r.printDone(text, fmt.Sprintf("handed over token %s\n%s", escape(result.New.ID), done))
	case asJSON:
		return errors.Join(err, r.print(text))
	}
	return err
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
	State     string               `json:"state"`
	Old       fastly.TokenResponse `json:"old,omitzero"`
	New       fastly.TokenResponse `json:"new,omitzero"`
	RevokeAt  time.Time            `json:"revoke_at,omitzero"`
	Revoked   []string             `json:"revoked"`
	Left      []string             `json:"left"`
	Unknown   bool                 `json:"unknown,omitempty"` // a token may exist that nobody holds
	StateFile string               `json:"state_file,omitempty"`
}

// rotationError makes an error a leftError if the rotation left something behind.
func (r *rotation) rotationError(err error) error {
	runErr, ok := errors.AsType[*rotate.Error](err)
	if !ok {
		return err
	}
	state := runErr.Result.State
	switch {
	case state == rotate.StateUnchanged && !runErr.Result.Unknown, errors.Is(err, rotate.ErrLocked),
		state == rotate.StateHandedOver && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		return err
	case state == rotate.StateDone: // the state file is removed
		return &leftError{err}
	}
	where := fmt.Sprintf("; the state file is %q", r.state)
	if r.out == "" && state != rotate.StateUnknown {
		where += ": if you run again with another ID, give it to --state"
	}
	return &leftError{fmt.Errorf("%w%s", err, where)}
}

// check rejects wrong usage before anything is done.
func (r *rotation) check(ctx context.Context) (err error) {
	switch {
	case r.out != "" && len(r.command) > 0:
		return usagef("--out and a command are two places for the access token: use one")
	case r.out == "" && len(r.command) == 0:
		return usagef("say where the access token goes: --out FILE, or a command after --")
	case r.current && (r.out == "" || r.id != ""):
		return usagef("--current needs --out, and no ID")
	}
	if len(r.command) > 0 {
		if _, err := exec.LookPath(r.command[0]); err != nil { // before a token is created
			return usagef("%w", err)
		}
		r.readFiles(ctx, &r.login)
	}
	if r.out != "" {
		var note string
		if r.out, note, err = replaceable(r.out); err != nil {
			return usagef("--out: %w", err)
		}
		r.say("%s", escape(note)) // unless it is empty
	}
	return r.setState()
}

// replaceable returns the absolute path without symbolic links in its directory, in which a file
// can be created or replaced, and what a new one will not keep.
func replaceable(path string) (whole, note string, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return "", "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", "", err
	}
	whole = filepath.Join(dir, filepath.Base(path))
	note, err = atomicfile.Disk{}.Check(whole)
	return whole, note, err
}

// setState sets the path of the state file unless the user has.
func (r *rotation) setState() (err error) {
	switch {
	case r.state != "":
		if r.state, _, err = replaceable(r.state); err != nil {
			return usagef("--state: %w", err)
		}
		if strings.EqualFold(r.state, r.out) || strings.EqualFold(r.state+".lock", r.out) { // as some file systems have it
			return usagef("--state and --out are two files: the one is removed in the end, the other holds the access token")
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
	r.state = filepath.Join(dir, "fastly-token", cmp.Or(r.id, "current")+".rotation")
	return atomicfile.Disk{}.MkdirAll(filepath.Dir(r.state))
}
