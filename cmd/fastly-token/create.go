package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/rotate"
)

// cleanUpTime bounds a revoke that runs although the program is interrupted.
const cleanUpTime = 30 * time.Second

func (a *app) createCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create (--out FILE | --print)",
		Short: "Create a token by user name and password",
		Long: `Creates a token by user name and password: the first one of an account, or one
for a machine. The one-time password is asked for only if the account has
two-factor authentication.

The API shows the access token once, so say where it goes: to a new file
(--out), which only you can read and which holds no line break, or to standard
output (--print), which then gets nothing else.

The name of the token ends in random letters, which make it unique. If the
response is lost, the error says which name to look for.`,
		Example: `  fastly-token create --scope purge_all --ttl 30d --out deploy-token
  fastly-token create --print | secret-store put fastly`,
		Args: noArgs,
	}
	t := tokenFlags{name: "fastly-token", scopes: []string{string(fastly.ScopeGlobalRead)}, ttl: duration(90 * day)}
	t.add(cmd)
	cmd.Flags().Lookup("ttl").Usage += "; 0d: forever"
	var l login
	l.flags(cmd.Flags())
	var d destination
	cmd.Flags().StringVar(&d.out, "out", "", "write the access token to this new `file`, which only you can read")
	cmd.Flags().BoolVar(&d.force, "force", false, "replace the file of --out")
	cmd.Flags().BoolVar(&d.print, "print", false, "print the access token, and nothing else")
	asJSON := jsonFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := d.check(*asJSON); err != nil {
			return err
		}
		req, err := t.request(a.now())
		if err != nil {
			return err
		}
		client, err := a.loginClient()
		if err != nil {
			return err
		}
		created, err := a.createToken(cmd.Context(), client, req, &l, nil)
		if created == nil || created.AccessToken == "" {
			return err
		}
		if more := excess(req, created); more != "" {
			err = errors.Join(err, &leftError{fmt.Errorf("token %s is not what was requested: %s", created.ID, more)})
		}
		// The token exists, whatever else went wrong, so keep it.
		return errors.Join(err, a.keep(cmd.Context(), created, d, *asJSON))
	}
	return a.needs(credentials{login: &l}, cmd)
}

// destination is where an access token goes.
type destination struct {
	out          string
	force, print bool
}

// check makes sure, before a token is created, that it can be stored.
func (d *destination) check(asJSON bool) error {
	switch {
	case d.out == "" && !d.print:
		return usagef("say where the access token goes, which the API shows only once: --out FILE, or --print")
	case d.out != "" && d.print:
		return usagef("--out and --print exclude each other")
	case d.force && d.print:
		return usagef("--force is for --out")
	case d.print && asJSON:
		return usagef("--json is for --out: --print prints only the access token")
	case d.print:
		return nil
	}
	info, err := os.Lstat(d.out)
	switch {
	case err == nil && !info.Mode().IsRegular():
		err = fmt.Errorf("%q is not a regular file", d.out)
	case err == nil && !d.force:
		err = fmt.Errorf("%q exists: choose another file, or replace it with --force", d.out)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err == nil {
		err = checkWritable(filepath.Dir(d.out))
	}
	if err != nil {
		return &usageError{err: fmt.Errorf("--out: %w", err)}
	}
	return nil
}

// checkWritable checks that files can be created in the directory.
func checkWritable(dir string) error {
	f, err := os.CreateTemp(dir, ".fastly-token-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// keep stores the access token at its destination, or revokes it.
func (a *app) keep(ctx context.Context, created *fastly.TokenCreatedResponse, d destination, asJSON bool) error {
	if d.print {
		if err := a.print(created.AccessToken.Reveal() + "\n"); err != nil {
			return a.giveBack(ctx, created, err)
		}
		a.say("created token %s, named %q", escape(created.ID), escape(created.Name))
		return nil
	}
	if !d.force { // the file may have been created meanwhile
		f, err := os.OpenFile(d.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return a.giveBack(ctx, created, err)
		}
		_ = f.Close() // empty, and about to be replaced
	}
	// Write the token to disk even if the program is being interrupted.
	if err := rotate.WriteFile(d.out).Put(context.WithoutCancel(ctx), created); err != nil {
		if !errors.Is(err, rotate.ErrMaybeHandedOver) {
			if !d.force {
				_ = os.Remove(d.out)
			}
			return a.giveBack(ctx, created, err)
		}
		return &leftError{err}
	}
	if asJSON {
		return a.printJSON(created.TokenResponse)
	}
	return a.print(a.describe(&created.TokenResponse) + fmt.Sprintf("\nThe access token is in %q, which only you can read.\n", d.out))
}

// giveBack revokes a token that could not be kept, with its own credentials.
func (a *app) giveBack(ctx context.Context, created *fastly.TokenCreatedResponse, reason error) error {
	reason = fmt.Errorf("the access token could not be kept: %w", reason)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	client, err := a.clientOf(created.AccessToken)
	if err == nil {
		err = client.Tokens.RevokeTokenCurrent(ctx)
	}
	if err != nil {
		id := cmp.Or(escape(created.ID), "of unknown ID")
		return &leftError{fmt.Errorf("%w; token %s, named %q, exists and nobody holds it: revoke it (%w)", reason, id, created.Name, err)}
	}
	return fmt.Errorf("%w; the token was revoked", reason)
}
