package fastly_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// What does a program do if a token is created and the response is lost? A test
// with fastlytest shows it in a few lines.
func Example_testing() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: "POST", Path: "/tokens"})

	created, err := create(context.Background(), srv.Client(), &fastly.CreateTokenRequest{
		Name:     "deploy 7f3a91",
		Scopes:   fastly.Scopes{fastly.ScopePurgeAll},
		Username: srv.User().Login,
		Password: fastly.Secret(srv.User().Password),
	})
	if err != nil {
		log.Fatal(err)
	}

	for _, r := range srv.Requests() {
		fmt.Println(r.Method)
	}
	for _, t := range srv.Tokens() {
		if t.Name == "deploy 7f3a91" {
			fmt.Println("ours:", t.ID == created.ID, "revoked:", !t.DeletedAt.IsZero())
		}
	}
	// Output:
	// POST
	// GET
	// DELETE
	// POST
	// ours: false revoked: true
	// ours: true revoked: false
}

// create creates a token and leaves none behind that nobody holds. No other token
// may have the name: a lost token is found by it.
func create(ctx context.Context, client *fastly.Client, req *fastly.CreateTokenRequest) (*fastly.TokenCreatedResponse, error) {
	created, err := client.Tokens.CreateToken(ctx, req)
	switch {
	case created != nil && created.AccessToken != "":
		return created, nil // whatever else is missing
	case !errors.Is(err, fastly.ErrOutcomeUnknown):
		return nil, err
	}
	tokens, err := client.Tokens.ListTokensUser(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tokens {
		if t.Name != req.Name {
			continue
		}
		if err := client.Tokens.RevokeToken(ctx, t.ID); err != nil {
			return nil, err
		}
	}
	return client.Tokens.CreateToken(ctx, req)
}
