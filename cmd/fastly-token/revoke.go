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
one of them does not exist, for example, they are revoked one by one, that of the API key last. The
exit code is 1 if any of them was not found or could not be revoked.`,
		Example: `  fastly-token revoke 5sNpEx2UkYf9WdTa6mJv4G 8bCzMi6QoHr3VgLs0xFu1P`,
		Args:    cobra.ArbitraryArgs,
	}
	self := cmd.Flags().Bool("self", false, "revoke the token of the API key")
	asJSON := jsonFlag(cmd.Flags())
	return a.withClient(cmd, func(ctx context.Context, client *fastly.Client, ids []string) (err error) {
		if *self != (len(ids) == 0) {
			return usagef("say which tokens: either IDs or --self")
		}
		for i, id := range ids {
			if err := checkID(fmt.Sprintf("argument %d", i+1), id); err != nil {
				return err
			}
		}
		var results []revocation
		if *self {
			results, err = revokeSelf(ctx, client)
		} else {
			results = revokeAll(ctx, client, ids)
		}
		if err != nil {
			return err
		}
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
	Result string `json:"result"` // revoked, notFound or failed
	Error  string `json:"error,omitempty"`
	err    error
}

const (
	revoked  = "revoked"
	notFound = "not found" // no such token, or it was revoked before
	failed   = "failed"
)

func revokeSelf(ctx context.Context, client *fastly.Client) ([]revocation, error) {
	current, err := client.Tokens.GetTokenCurrent(ctx)
	if err != nil {
		return nil, err
	}
	err = client.Tokens.RevokeTokenCurrent(ctx)
	if err != nil && !notProcessed(err) {
		_, lookErr := client.Tokens.GetTokenCurrent(ctx)
		if errors.Is(lookErr, fastly.ErrUnauthorized) {
			err = nil
		}
	}
	if errors.Is(err, fastly.ErrForbidden) {
		err = fmt.Errorf("%w; revoke %s by its ID, with another API key", err, current.ID)
	}
	if err != nil {
		return nil, err
	}
	return []revocation{{ID: current.ID, Name: current.Name, Result: revoked}}, nil
}

// revokeAll revokes the tokens, the client's own last, and returns a result for each.
func revokeAll(ctx context.Context, client *fastly.Client, ids []string) (results []revocation) {
	var distinct []string
	for _, id := range ids {
		if !slices.Contains(distinct, id) {
			distinct = append(distinct, id)
		}
	}
	if len(distinct) > batch {
		ownLast(ctx, client, distinct)
	}
	for some := range slices.Chunk(distinct, batch) {
		results = append(results, revokeSome(ctx, client, some)...)
	}
	return results
}

// ownLast moves the client's own token to the end, because the client can revoke no other after it.
func ownLast(ctx context.Context, client *fastly.Client, ids []string) {
	if own, err := client.Tokens.GetTokenCurrent(ctx); err == nil { // else the revokes will say why
		if i := slices.Index(ids, own.ID); i >= 0 {
			copy(ids[i:], ids[i+1:])
			ids[len(ids)-1] = own.ID
		}
	}
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
	ownLast(ctx, client, ids)
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
