// Expiring lists the API tokens of a user that expire soon, and ends with exit
// code 1 if there are any, for a nightly check.
//
//	go install ./examples/expiring
//	FASTLY_API_TOKEN=… expiring -days 14
//
// Try it with made-up tokens: go run ./examples/expiring -demo
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
)

func main() { demo.Main("expiring", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("expiring", flag.ContinueOnError)
	useDemo := fs.Bool("demo", false, "use made-up tokens")
	days := fs.Int("days", 30, "report tokens that expire within this many days")
	if err := demo.Parse(fs, args, stderr, false); err != nil {
		return err
	}
	account, err := demo.Open(*useDemo, stdin, stderr)
	if err != nil {
		return err
	}
	defer account.Close()

	tokens, err := account.Client.Tokens.ListTokensUser(ctx)
	if err != nil {
		return err
	}
	found := expiring(tokens, time.Now().AddDate(0, 0, *days))
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, t := range found {
		// %q, because a name can hold anything, even terminal escape sequences.
		fmt.Fprintf(w, "%s\t%s\t%q\t%q\n", t.ExpiresAt.Format(time.DateOnly), t.ID, t.Name, t.Scopes)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(found) > 0 {
		return demo.ExitError(1)
	}
	return nil
}

// expiring returns the tokens that expire by then, in the order of their expiry.
func expiring(tokens []fastly.TokenResponse, then time.Time) []fastly.TokenResponse {
	found := slices.DeleteFunc(slices.Clone(tokens), func(t fastly.TokenResponse) bool { return !t.Expired(then) })
	slices.SortFunc(found, func(a, b fastly.TokenResponse) int {
		return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), cmp.Compare(a.ID, b.ID))
	})
	return found
}
