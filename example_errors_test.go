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
	err = client.Tokens.RevokeToken(ctx, "5Yo3XXyOUcQ7Vb1nKd92Ls")
	fmt.Println(next(err))
	timeUp, cancel := context.WithTimeout(ctx, 0)
	defer cancel()
	_, err = client.Tokens.GetTokenCurrent(timeUp)
	fmt.Println(next(err))
	// Output:
	// go on
	// fix the call; nothing was sent
	// it is revoked already
	// give up: 403 "You are not authorized to perform this action"
	// retry at 13:00:00
	// allow more time
}

// next returns what to do after a call that returned err.
func next(err error) string {
	var response *fastly.GenericTokenError
	switch {
	case err == nil:
		return "go on"
	case errors.Is(err, fastly.ErrInvalidArgument):
		return "fix the call; nothing was sent"
	case errors.Is(err, fastly.ErrOutcomeUnknown):
		return "look whether the token exists"
	case errors.Is(err, fastly.ErrNotFound):
		return "it is revoked already"
	case errors.Is(err, fastly.ErrRateLimited) && errors.As(err, &response):
		return "retry at " + response.RateLimit.Reset.UTC().Format(time.TimeOnly)
	case errors.As(err, &response):
		// The text came over the network: quote it.
		return fmt.Sprintf("give up: %d %q", response.StatusCode, response.Msg)
	case errors.Is(err, context.DeadlineExceeded):
		return "allow more time"
	}
	return "no response came: " + err.Error()
}
