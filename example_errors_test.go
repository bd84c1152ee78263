package fastly_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func ExampleGenericTokenError() {
	noon := time.Date(2099, 1, 2, 12, 0, 0, 0, time.UTC)
	srv := fastlytest.NewServer(
		fastlytest.WithClock(func() time.Time { return noon }),
		fastlytest.WithRateLimit(0), // used up
	)
	defer srv.Close()
	client := srv.Client()
	ctx := context.Background()

	_, err := client.Tokens.GetTokenCurrent(ctx)
	fmt.Println(next(err))
	_, err = client.Tokens.GetToken(ctx, "deploy key")
	fmt.Println(next(err))
	_, err = client.Tokens.GetToken(ctx, "5Yo3XXyOUcQ7Vb1nKd92Ls")
	fmt.Println(next(err))
	_, err = client.Tokens.ListTokensCustomer(ctx, "1aBcD3eFgH5iJkL7mNoP9q")
	fmt.Println(next(err))
	_, err = client.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{})
	fmt.Println(next(err))
	timeUp, cancel := context.WithTimeout(ctx, 0)
	defer cancel()
	_, err = client.Tokens.GetTokenCurrent(timeUp)
	fmt.Println(next(err))
	// Output:
	// go on
	// fix the call; nothing was sent
	// take it for revoked
	// give up: 403 "You are not authorized to perform this action"
	// come back at 13:00:00
	// allow more time
}

// next is what to do after a call that returned err.
func next(err error) string {
	var answer *fastly.GenericTokenError
	switch {
	case err == nil:
		return "go on"
	case errors.Is(err, fastly.ErrInvalidArgument):
		return "fix the call; nothing was sent"
	case errors.Is(err, fastly.ErrOutcomeUnknown):
		return "look whether the token exists"
	case errors.Is(err, fastly.ErrNotFound):
		return "take it for revoked"
	case errors.Is(err, fastly.ErrRateLimited) && errors.As(err, &answer):
		return "come back at " + answer.RateLimit.Reset.UTC().Format(time.TimeOnly)
	case errors.As(err, &answer):
		// The text came over the network: quote it.
		return fmt.Sprintf("give up: %d %q", answer.StatusCode, answer.Msg)
	case errors.Is(err, context.DeadlineExceeded):
		return "allow more time"
	}
	return "no answer came: " + err.Error()
}
