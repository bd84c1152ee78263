// Expiring lists the API tokens of a user that expire soon, for a nightly check:
// its exit code is 4 if there are any, and 1 if it could not find out.
//
//	FASTLY_API_TOKEN=… expiring -days 14
//
// Try it with a made-up account ("go run" makes 1 of any exit code but 0):
//
//	fastly-token serve -- go run ./examples/expiring -days 14
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/fastly-tokens/fastly"
)

func main() {
	days := flag.Int("days", 30, "list tokens that expire within this many days")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	found, err := expiring(ctx, time.Now().AddDate(0, 0, *days))
	cancel()
	for _, t := range found {
		// %q, because a name can hold anything, even terminal escape sequences.
		fmt.Printf("%s  %q  %q  %q\n", t.ExpiresAt.Format(time.DateOnly), t.ID, t.Name, t.Scopes)
	}
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "expiring:", err)
		os.Exit(1)
	case len(found) > 0:
		os.Exit(4)
	}
	fmt.Println("No token expires within", *days, "days.")
}

// expiring returns the tokens that expire by then, in the order of their expiry. If
// the list could not be read whole, there are tokens and an error.
func expiring(ctx context.Context, then time.Time) ([]fastly.TokenResponse, error) {
	client, err := fastly.NewClientFromEnv()
	if err != nil {
		return nil, err
	}
	tokens, err := client.Tokens.ListTokensUser(ctx)
	tokens = slices.DeleteFunc(tokens, func(t fastly.TokenResponse) bool { return !t.Expired(then) })
	slices.SortFunc(tokens, func(a, b fastly.TokenResponse) int { return a.ExpiresAt.Compare(b.ExpiresAt) })
	return tokens, err
}
