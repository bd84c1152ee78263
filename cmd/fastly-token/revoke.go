package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fastly-tokens/fastly"
)

// batch is how many tokens are revoked by one request.
const batch = 100

func (a *app) revokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke (ID... | --self)",
		Short: "Revoke tokens by their IDs, or that of the API key",
		Long: `Revokes tokens by their IDs, or with --self the token of the API key. A revoked token
can't be restored.

One request revokes several tokens: all or none, as far as is known. If the API rejects it, because
one of them does not exist, for example, they are revoked one by one. That of the API key is always
the last one. The exit code is 1 if any of them was not found or could not be revoked.`,
		Example: `  fastly-token revoke 5sNpEx2UkYf9WdTa6mJv4G 8bCzMi6QoHr3VgLs0xFu1P`,
		Args:    cobra.ArbitraryArgs,
	}
	self := cmd.Flags().Bool("self", false, "revoke the token of the API key")
	asJSON := jsonFlag(cmd.Flags())
	return a.withClient(cmd, func(ctx context.Context, client *fastly.Client, ids []string) error {
		if *self != (len(ids) == 0) {
			return usagef("say which tokens: either IDs or --self")
		}
		for i, id := range ids {
			if err := checkID(fmt.Sprintf("argument %d", i+1), id); err != nil {
				return err
			}
		}
		own, err := client.Tokens.GetTokenCurrent(ctx)
		switch {
		case err != nil && (*self || len(ids) > 1): // one ID needs no order
			return err
		case *self:
			ids = []string{own.ID}
		}
		results := revokeAll(ctx, client, ids, own)
		lines := revocationLines(results)
		text := lines
		if *asJSON {
			text = toJSON(results)
		}
		return errors.Join(a.printDone(text, lines), a.afterRevoking(results))
	})
}

// revocation is the result for one token.
type revocation struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Result string `json:"result"` // revoked, not found or failed
	Error  string `json:"error,omitempty"`
	err    error
}

const (
	revoked  = "revoked"
	notFound = "not found" // no such token, or it was revoked before
	failed   = "failed"
)

// revokeAll revokes the tokens, and returns a result for each. own is the client's, nil if not known:
// it comes last, as the client can revoke no other after it, and is left if another try may need it.
func revokeAll(ctx context.Context, client *fastly.Client, ids []string, own *fastly.TokenResponse) (results []revocation) {
	isOwn := func(id string) bool { return own != nil && id == own.ID }
	var others []string
	for _, id := range ids {
		if !isOwn(id) && !slices.Contains(others, id) {
			others = append(others, id)
		}
	}
	for some := range slices.Chunk(others, batch) {
		results = append(results, revokeSome(ctx, client, some)...)
	}
	if !slices.ContainsFunc(ids, isOwn) {
		return results
	}
	isNeeded := slices.ContainsFunc(results, func(r revocation) bool { return r.Result == failed && !isAboutTokens(r.err) })
	err := fmt.Errorf("token %s, that of the API key, is left for another try", own.ID)
	if !isNeeded {
		err = revokeOwn(ctx, client, own.ID)
	}
	last := revocations([]string{own.ID}, err)
	last[0].Name = own.Name
	return append(results, last...)
}

// revokeOwn revokes the client's own token. If no response came, it looks whether the token is gone.
func revokeOwn(ctx context.Context, client *fastly.Client, id string) error {
	err := client.Tokens.RevokeTokenCurrent(ctx)
	if err != nil && !notProcessed(err) {
		if _, lookErr := client.Tokens.GetTokenCurrent(ctx); errors.Is(lookErr, fastly.ErrUnauthorized) {
			return nil
		}
	}
	if errors.Is(err, fastly.ErrForbidden) {
		err = fmt.Errorf("%w; revoke %s by its ID, with another API key", err, id)
	}
	return err
}

// revokeSome revokes tokens by one request, or else one by one.
func revokeSome(ctx context.Context, client *fastly.Client, ids []string) []revocation {
	if len(ids) == 1 {
		return revokeEach(ctx, client, ids, false)
	}
	err := client.Tokens.BulkRevokeTokens(ctx, ids)
	if err == nil || notProcessed(err) && !isAboutTokens(err) {
		return revocations(ids, err)
	}
	return revokeEach(ctx, client, ids, !notProcessed(err))
}

// revokeEach revokes tokens one by one. unclear says that one request for all of them may have been
// processed. It revoked all or none: if any token is still there, what is missing was missing before.
func revokeEach(ctx context.Context, client *fastly.Client, ids []string, unclear bool) (results []revocation) {
	missing := 0
	for i, id := range ids {
		err := revokeOne(ctx, client, id)
		switch {
		case errors.Is(err, fastly.ErrNotFound):
			missing++
		case err != nil && !isAboutTokens(err): // a rate limit, say: the others would fail, too
			if unclear {
				err = fmt.Errorf("whether it was revoked is not known: %w", err)
			}
			return append(results, revocations(ids[i:], err)...)
		}
		results = append(results, revocations(ids[i:i+1], err)...)
	}
	if unclear && missing == len(ids) {
		return revocations(ids, nil)
	}
	return results
}

// revocations returns the results for tokens with the same outcome.
func revocations(ids []string, err error) (results []revocation) {
	for _, id := range ids {
		r := revocation{ID: id, Result: revoked}
		if err != nil {
			r = revocation{ID: id, Result: failed, Error: explain(err), err: err}
		}
		if errors.Is(err, fastly.ErrNotFound) {
			r.Result = notFound
		}
		results = append(results, r)
	}
	return results
}

// revokeOne revokes a token by its ID. If no response came, it looks whether the token is gone.
func revokeOne(ctx context.Context, client *fastly.Client, id string) error {
	err := client.Tokens.RevokeToken(ctx, id)
	if err == nil || notProcessed(err) {
		return err
	}
	token, lookErr := client.Tokens.GetToken(ctx, id)
	if errors.Is(lookErr, fastly.ErrNotFound) || lookErr == nil && !token.DeletedAt.IsZero() {
		return nil
	}
	return err
}

// notProcessed reports whether err says that a request was not processed. A rate limit does not: an
// earlier attempt may have been.
func notProcessed(err error) bool {
	return isAboutTokens(err) || !errors.Is(err, fastly.ErrOutcomeUnknown) &&
		(errors.Is(err, fastly.ErrUnauthorized) || errors.Is(err, fastly.ErrInvalidArgument))
}

// isAboutTokens reports whether a revoke was refused because of its tokens, so that other tokens
// may be revoked.
func isAboutTokens(err error) bool {
	causes := []error{fastly.ErrBadRequest, fastly.ErrForbidden, fastly.ErrNotFound, fastly.ErrUnprocessable}
	return !errors.Is(err, fastly.ErrOutcomeUnknown) &&
		slices.ContainsFunc(causes, func(cause error) bool { return errors.Is(err, cause) })
}

func revocationLines(results []revocation) string {
	var b strings.Builder
	for _, r := range results {
		line := fmt.Sprintf("%-9s  %s  %s", r.Result, r.ID, escape(r.Name))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// afterRevoking reports each error once, and returns the error for the exit code.
func (a *app) afterRevoking(results []revocation) (err error) {
	var said []string
	for _, r := range results {
		if r.err != nil {
			err = exitError(exitFailed)
		}
		if r.Result == failed && !slices.Contains(said, r.Error) {
			a.say("%s", r.Error)
			said = append(said, r.Error)
		}
	}
	return err
}
