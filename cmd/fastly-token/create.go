package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/atomicfile"
)

// cleanUpTime bounds a revoke that runs although the program is interrupted.
const cleanUpTime = 30 * time.Second

const createHelp = `Creates a token by user name and password: the first one of an account, or one for a
machine. A one-time password is used only if the account has two-factor authentication.

The API shows the access token once, so say where it goes: to a new file (--out), which only you can
read and which holds no line break, or to standard output (--print), which then gets nothing else.
If it can't be written there, the token is revoked.

The name of the token ends in random letters, which make it unique. If the response is lost, the
error says which name to look for.`

func (a *app) createCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create (--out FILE | --print)",
		Short: "Create a token by user name and password",
		Long:  createHelp,
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
	cmd.Flags().BoolVar(&d.json, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := d.check(a); err != nil {
			return err
		}
		req, err := t.request()
		if err != nil {
			return err
		}
		client, err := a.newClient("the login", fastly.WithoutAuthentication()) // it authenticates itself
		if l.byKey {
			client, err = a.client()
		}
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
		return errors.Join(err, a.keep(created, d))
	}
	return a.prepared(needs{login: &l}, cmd)
}

// destination is where an access token goes.
type destination struct {
	out                string
	force, print, json bool
	note               string // what a new file will not have of the one that it replaces
}

// check makes sure, before a token is created, that it can be stored.
func (d *destination) check(a *app) error {
	switch {
	case d.out == "" && !d.print:
		return usagef("say where the access token goes, which the API shows only once: --out FILE, or --print")
	case d.print && (d.out != "" || d.force || d.json):
		return usagef("--print excludes --out, --force and --json")
	case d.print && a.discardsOutput():
		return usagef("--print: standard output is closed, or a device that keeps nothing")
	case d.print:
		return nil
	}
	_, err := os.Lstat(d.out)
	if err == nil && !d.force {
		err = fmt.Errorf("%q exists: choose another file, or replace it with --force", d.out)
	} else {
		d.note, err = atomicfile.Disk{}.Check(d.out)
	}
	if err != nil {
		return usagef("--out: %w", err)
	}
	return nil
}

// keep stores the access token at its destination, or revokes it.
func (a *app) keep(created *fastly.TokenCreatedResponse, d destination) error {
	if d.print {
		if err := a.print(created.AccessToken.Reveal() + "\n"); err != nil {
			return a.giveBack(created, fmt.Errorf(notKept, err))
		}
		a.say("created token %s, named %q", escape(created.ID), escape(created.Name))
		return nil
	}
	// Write it to disk even if the program is being interrupted.
	write := atomicfile.Disk{}.Create // the file may have been created meanwhile
	if d.force {
		write = atomicfile.Disk{}.Replace
	}
	written, err := write(d.out, []byte(created.AccessToken.Reveal()))
	switch {
	case err != nil && !written:
		return a.giveBack(created, fmt.Errorf(notKept, err))
	case err != nil:
		return &leftError{fmt.Errorf("the access token of token %s is in %q, but a crash of this machine may undo that: %w", created.ID, d.out, err)}
	}
	a.say("%s", escape(d.note)) // unless it is empty
	where := fmt.Sprintf("The access token is in %q", d.out)
	if !d.force {
		where += ", which only you can read"
	}
	text := a.describe(&created.TokenResponse) + "\n" + where + ".\n"
	if d.json {
		text = toJSON(created.TokenResponse)
	}
	return a.printDone(text, fmt.Sprintf("created token %s, named %q: its access token is in %q", created.ID, created.Name, d.out))
}

const notKept = "the access token could not be kept: %w"

// giveBack revokes a new token for the reason, and returns that with what became of the token.
func (a *app) giveBack(created *fastly.TokenCreatedResponse, reason error) error {
	byKey, _ := a.client() // nil without a key: the token may be able to revoke itself
	if err := a.discard(created, byKey, false); err != nil {
		return errors.Join(reason, err)
	}
	return fmt.Errorf("%w; token %s was revoked", reason, created.ID)
}

// discard revokes a token of this program, even after an interruption: by the key that is at hand,
// nil for none, or else by the token's own. known says that the API knew the token; otherwise it
// may take a moment until it does.
func (a *app) discard(token *fastly.TokenCreatedResponse, byKey *fastly.Client, known bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTime)
	defer cancel()
	err := a.whileNew(ctx, fastly.ErrNotFound, func() error {
		err := a.discardOnce(ctx, token, byKey, known)
		if known && errors.Is(err, fastly.ErrNotFound) {
			return nil
		}
		return err
	})
	if err == nil {
		return nil
	}
	name := "token " + token.ID
	if token.ID == "" {
		name = fmt.Sprintf("the token named %q", token.Name)
	}
	outcome := "may not have been revoked: look for it, as it may work"
	if notProcessed(err) && !errors.Is(err, fastly.ErrNotFound) {
		outcome = "was NOT revoked: it works"
	}
	return &leftError{fmt.Errorf("%s %s until it expires, %s, or you revoke it: %w", name, outcome, stamp(token.ExpiresAt), err)}
}

// discardOnce returns nil if the token is revoked, and an error that matches ErrNotFound if the API
// does not know it.
func (a *app) discardOnce(ctx context.Context, token *fastly.TokenCreatedResponse, byKey *fastly.Client, known bool) (err error) {
	if byKey != nil && token.ID != "" {
		if known {
			err = revokeOne(ctx, byKey, token.ID)
		} else { // that a key does not see the token proves nothing
			err = byKey.Tokens.RevokeToken(ctx, token.ID)
		}
		if err == nil {
			return nil
		}
	}
	if token.AccessToken == "" {
		return err
	}
	own, ownErr := a.newClient("the new access token", fastly.WithAPIKey(token.AccessToken.Reveal()))
	if ownErr == nil {
		defer own.CloseIdleConnections()
		ownErr = own.Tokens.RevokeTokenCurrent(ctx)
	}
	switch {
	case ownErr == nil:
		return nil
	case errors.Is(ownErr, fastly.ErrUnauthorized):
		return fmt.Errorf("%w: %w", fastly.ErrNotFound, ownErr)
	case err == nil, errors.Is(err, fastly.ErrNotFound): // by a key that may belong to somebody else
		return ownErr
	}
	return err
}
