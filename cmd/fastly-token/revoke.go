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
		Short: "Revoke tokens by their IDs, or the current one",
		Long: `Revokes tokens by their IDs, or with --self the token of the environment. A
revoked token can't be restored.

One request revokes several tokens, all or none. If the API rejects it, because
one of them does not exist, for example, they are revoked one by one. The exit
code is 1 if any of them was not found or could not be revoked.`,
		Example: `  fastly-token revoke 5sNpEx2UkYf9WdTa6mJv4G 8bCzMi6QoHr3VgLs0xFu1P`,
		Args:    cobra.ArbitraryArgs,
	}
	self := cmd.Flags().Bool("self", false, "revoke the token of the environment")
	asJSON := jsonFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		if *self != (len(ids) == 0) {
			return usagef("say which tokens: either IDs or --self")
		}
		for _, id := range ids {
			if !idForm.MatchString(id) {
				return usagef("%q is not the ID of a token", id)
			}
		}
		var results []revocation
		if *self {
			results, err = revokeSelf(cmd.Context(), client)
		} else {
			results = revokeAll(cmd.Context(), client, ids)
		}
		if err != nil {
			return err
		}
		if *asJSON {
			err = a.printJSON(results)
		} else {
			err = a.print(revocationLines(results))
		}
		if err != nil {
			return err
		}
		return a.afterRevoking(results)
	}
	return a.needs(credentials{key: true}, cmd)
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
	if err == nil {
		err = client.Tokens.RevokeTokenCurrent(ctx)
	}
	if err != nil {
		return nil, err
	}
	return []revocation{{ID: current.ID, Name: current.Name, Result: revoked}}, nil
}

// revokeAll revokes the tokens, and returns a result for each.
func revokeAll(ctx context.Context, client *fastly.Client, ids []string) (results []revocation) {
	for some := range slices.Chunk(unique(ids), batch) {
		results = append(results, revokeSome(ctx, client, some)...)
	}
	return results
}

func revokeSome(ctx context.Context, client *fastly.Client, ids []string) []revocation {
	results := make([]revocation, len(ids))
	for i, id := range ids {
		results[i] = revocation{ID: id, Result: revoked}
	}
	if len(ids) > 1 {
		err := client.Tokens.BulkRevokeTokens(ctx, ids)
		if err == nil {
			return results
		}
		if !isAboutTokens(err) {
			for i := range results {
				results[i].fail(err)
			}
			return results
		}
	}
	for i := range results {
		err := client.Tokens.RevokeToken(ctx, ids[i])
		if err == nil {
			continue
		}
		results[i].fail(err)
		if !isAboutTokens(err) { // a rate limit, say: the others would fail, too
			for j := range results[i+1:] {
				results[i+1+j].fail(err)
			}
			break
		}
	}
	return results
}

// isAboutTokens reports whether a revoke failed because of its tokens, so that
// other tokens may be revoked.
func isAboutTokens(err error) bool {
	for _, cause := range []error{fastly.ErrBadRequest, fastly.ErrForbidden, fastly.ErrNotFound, fastly.ErrUnprocessable, fastly.ErrOutcomeUnknown} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

func (r *revocation) fail(err error) {
	r.Result, r.Error, r.err = failed, explain(err), err
	if errors.Is(err, fastly.ErrNotFound) {
		r.Result = notFound
	}
}

func unique(ids []string) []string {
	var kept []string
	for _, id := range ids {
		if !slices.Contains(kept, id) {
			kept = append(kept, id)
		}
	}
	return kept
}

func revocationLines(results []revocation) string {
	var b strings.Builder
	for _, r := range results {
		line := fmt.Sprintf("%-9s  %s", r.Result, r.ID)
		if r.Name != "" {
			line += "  " + escape(r.Name)
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// afterRevoking reports each error once, and returns the error for the exit code.
func (a *app) afterRevoking(results []revocation) error {
	var texts []string
	missing := false
	for _, r := range results {
		switch {
		case r.Result == notFound:
			missing = true
		case r.err != nil && !slices.Contains(texts, r.Error):
			texts = append(texts, r.Error)
		}
	}
	for _, text := range texts {
		a.say("%s", text)
	}
	if len(texts) > 0 || missing {
		return exitError(exitFailed)
	}
	return nil
}
