package fastlytest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func Example() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	client := srv.Client()
	ctx := context.Background()

	created, err := client.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
		Name:     "deploy",
		Scopes:   fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect},
		Username: srv.User().Login,
		Password: fastly.Secret(srv.User().Password),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Tokens.RevokeToken(ctx, created.ID); err != nil {
		log.Fatal(err)
	}

	kept, _ := srv.Token(created.ID)
	fmt.Println(kept.Name, "may", kept.Scopes)
	fmt.Println("revoked:", !kept.DeletedAt.IsZero())
	for _, r := range srv.Requests() {
		fmt.Println(r.Method, r.Status)
	}
	// Output:
	// deploy may purge_all purge_select
	// revoked: true
	// POST 200
	// DELETE 204
}

func ExampleServer_Inject() {
	srv := fastlytest.NewServer()
	defer srv.Close()

	// The token is created, and the response never arrives.
	srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: "POST", Path: "/tokens"})

	_, err := srv.Client().Tokens.CreateToken(context.Background(), &fastly.CreateTokenRequest{
		Username: srv.User().Login, Password: fastly.Secret(srv.User().Password),
	})
	fmt.Println("may exist:", errors.Is(err, fastly.ErrOutcomeUnknown))
	fmt.Println("tokens:", len(srv.Tokens())) // the server's own and the one without a response
	// Output:
	// may exist: true
	// tokens: 2
}

func ExampleServer_Advance() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	token := srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{ExpiresAt: time.Now().Add(time.Hour)},
	})
	client := srv.Client(fastly.WithAPIKey(token.AccessToken.Reveal()))

	_, err := client.Tokens.GetTokenCurrent(context.Background())
	fmt.Println(err)
	srv.Advance(2 * time.Hour)
	_, err = client.Tokens.GetTokenCurrent(context.Background())
	fmt.Println("expired:", errors.Is(err, fastly.ErrUnauthorized))
	// Output:
	// <nil>
	// expired: true
}

func ExampleWithRateLimit() {
	// A clock that stands still: by the real one the hour could end meanwhile.
	noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	srv := fastlytest.NewServer(
		fastlytest.WithRateLimit(1),
		fastlytest.WithClock(func() time.Time { return noon }),
	)
	defer srv.Close()
	client := srv.Client(fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 1}))

	revoke := func() error { return client.Tokens.RevokeToken(context.Background(), "none") }
	fmt.Println("first:", errors.Is(revoke(), fastly.ErrNotFound))
	fmt.Println("second, rate limited:", errors.Is(revoke(), fastly.ErrRateLimited))
	srv.Advance(time.Hour)
	fmt.Println("an hour later:", errors.Is(revoke(), fastly.ErrNotFound))
	// Output:
	// first: true
	// second, rate limited: true
	// an hour later: true
}

func ExampleWithLag() {
	// By the real clock the lag would end by itself.
	noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	srv := fastlytest.NewServer(
		fastlytest.WithLag(time.Minute),
		fastlytest.WithClock(func() time.Time { return noon }),
	)
	defer srv.Close()
	client := srv.Client()
	ctx := context.Background()

	created, err := client.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
		Username: srv.User().Login, Password: fastly.Secret(srv.User().Password),
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Tokens.GetToken(ctx, created.ID)
	fmt.Println("not there yet:", errors.Is(err, fastly.ErrNotFound))
	srv.Advance(time.Minute)
	_, err = client.Tokens.GetToken(ctx, created.ID)
	fmt.Println("a minute later:", err)
	// Output:
	// not there yet: true
	// a minute later: <nil>
}

func ExampleWithoutSudo() {
	srv := fastlytest.NewServer(fastlytest.WithoutSudo())
	defer srv.Close()

	_, err := srv.Client().Tokens.CreateToken(context.Background(), &fastly.CreateTokenRequest{Name: "by key"})
	fmt.Println(err)
	// Output:
	// <nil>
}
