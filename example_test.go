package fastly_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func Example() {
	srv := fastlytest.NewServer() // stands in for the API
	defer srv.Close()

	client, err := fastly.NewClient(
		fastly.WithAPIKey(srv.Key().Reveal()),
		fastly.WithBaseURL(srv.URL), // default https://api.fastly.com
		fastly.WithUserAgent("deploy-tool/1.4"),
	)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	created, err := client.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
		Name:      "deploy",
		Scopes:    fastly.Scopes{fastly.ScopePurgeAll},
		ExpiresAt: time.Now().Add(24 * time.Hour),
		Username:  srv.User().Login, // an API key alone creates no tokens
		Password:  fastly.Secret(srv.User().Password),
	})
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := client.Tokens.ListTokensUser(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range tokens {
		fmt.Printf("%s: %s\n", t.Name, t.Scopes)
	}
	if err := client.Tokens.RevokeToken(ctx, created.ID); err != nil {
		log.Fatal(err)
	}
	// Unordered output:
	// default: global
	// deploy: purge_all
}

func ExampleTokensService_BulkRevokeTokens() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	for _, name := range []string{"ci-1", "deploy", "ci-2"} {
		srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{
			TokenResponse: fastly.TokenResponse{Name: name},
		})
	}
	client := srv.Client()
	ctx := context.Background()

	tokens, err := client.Tokens.ListTokensUser(ctx)
	if err != nil {
		log.Fatal(err)
	}
	var leftovers []string
	for _, t := range tokens {
		if strings.HasPrefix(t.Name, "ci-") {
			leftovers = append(leftovers, t.ID)
		}
	}
	if len(leftovers) == 0 {
		return // BulkRevokeTokens rejects an empty list
	}
	if err := client.Tokens.BulkRevokeTokens(ctx, leftovers); err != nil {
		log.Fatal(err)
	}
	fmt.Println("revoked:", len(leftovers))
	// Output:
	// revoked: 2
}

func ExampleTokensService_CreateToken() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	client := srv.Client()

	created, err := client.Tokens.CreateToken(context.Background(), &fastly.CreateTokenRequest{
		Name:      "deploy",
		Scopes:    fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect},
		Services:  []string{"SU1Z0isxPaozGVKXdv0eY"},
		ExpiresAt: time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC),
		Username:  srv.User().Login,
		Password:  fastly.Secret(srv.User().Password),
	})
	if err != nil {
		log.Fatal(err) // the next example shows an error with a response
	}
	fmt.Println(created.Name, "may", created.Scopes, "of", created.Services)
	fmt.Println("until", created.ExpiresAt)
	fmt.Println("access token:", created.AccessToken) // Reveal returns the value
	// Output:
	// deploy may purge_all purge_select of [SU1Z0isxPaozGVKXdv0eY]
	// until 2099-01-02 03:04:05 +0000 UTC
	// access token: [REDACTED]
}

// The API shows an access token once. If the response is cut off, what could be
// read of it is returned together with the error.
func ExampleTokensService_CreateToken_brokenResponse() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	// The connection breaks within the last bytes.
	srv.Inject(fastlytest.Fault{Kind: fastlytest.CutMiddle, Method: "POST", Keep: 1 << 10})
	client := srv.Client()
	ctx := context.Background()

	created, err := client.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
		Name:     "deploy",
		Username: srv.User().Login,
		Password: fastly.Secret(srv.User().Password),
	})
	switch {
	case created != nil && created.AccessToken != "":
		fmt.Println("usable; error:", err != nil) // store it, and report the error
	case err != nil:
		log.Fatal(err)
	}
	// Output:
	// usable; error: true
}

func ExampleTokensService_CreateToken_oneTimePassword() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	user := srv.AddUser(fastlytest.User{OTP: "492039"}) // has two-factor authentication
	client := srv.Client()
	ctx := context.Background()

	req := &fastly.CreateTokenRequest{Name: "deploy", Username: user.Login, Password: fastly.Secret(user.Password)}
	created, err := client.Tokens.CreateToken(ctx, req)
	if errors.Is(err, fastly.ErrOTPRequired) {
		req.OTPFunc = func(context.Context) (fastly.Secret, error) {
			fmt.Println("Enter the code that your authenticator shows.")
			return "492039", nil
		}
		created, err = client.Tokens.CreateToken(ctx, req)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("created:", created.Name)
	// Output:
	// Enter the code that your authenticator shows.
	// created: deploy
}

func ExampleTokensService_GetToken() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	id := srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{Name: "deploy"},
	}).ID
	client := srv.Client()

	token, err := client.Tokens.GetToken(context.Background(), id)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("name:", token.Name)
	fmt.Println("scope:", token.Scopes)
	fmt.Println("every service:", len(token.Services) == 0)
	fmt.Println("never expires:", token.ExpiresAt.IsZero())
	fmt.Println("never used:", token.LastUsedAt.IsZero())
	// Output:
	// name: deploy
	// scope: global
	// every service: true
	// never expires: true
	// never used: true
}

func ExampleTokensService_GetTokenCurrent() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	client := srv.Client()

	token, err := client.Tokens.GetTokenCurrent(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("this is", token.Name)
	// Output:
	// this is default
}

func ExampleTokensService_ListTokensCustomer() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	colleague := srv.AddUser(fastlytest.User{})
	srv.AddToken(colleague.ID, fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{Name: "laptop"},
	})
	client := srv.Client() // its user is a superuser
	ctx := context.Background()

	self, err := client.Tokens.GetTokenCurrent(ctx)
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := client.Tokens.ListTokensCustomer(ctx, self.CustomerID)
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range tokens {
		fmt.Println(t.Name, "is mine:", t.UserID == self.UserID)
	}
	// Unordered output:
	// default is mine: true
	// laptop is mine: false
}

func ExampleTokensService_ListTokensUser() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{Name: "deploy", ExpiresAt: time.Now().Add(48 * time.Hour)},
	})
	client := srv.Client()

	tokens, err := client.Tokens.ListTokensUser(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	nextWeek := time.Now().AddDate(0, 0, 7)
	for _, t := range tokens {
		switch {
		case t.ExpiresAt.IsZero():
			fmt.Println(t.Name, "never expires")
		case t.Expired(nextWeek):
			fmt.Println(t.Name, "expires within a week")
		}
	}
	// Unordered output:
	// default never expires
	// deploy expires within a week
}

func ExampleTokensService_RevokeToken() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	id := srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{}).ID
	client := srv.Client()
	ctx := context.Background()

	for range 2 {
		err := client.Tokens.RevokeToken(ctx, id)
		switch {
		case errors.Is(err, fastly.ErrNotFound):
			fmt.Println("revoked before")
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println("revoked")
		}
	}
	// Output:
	// revoked
	// revoked before
}

func ExampleTokensService_RevokeTokenCurrent() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	client := srv.Client()
	ctx := context.Background()

	if err := client.Tokens.RevokeTokenCurrent(ctx); err != nil {
		log.Fatal(err)
	}
	_, err := client.Tokens.GetTokenCurrent(ctx)
	fmt.Println("logged out:", errors.Is(err, fastly.ErrUnauthorized))
	// Output:
	// logged out: true
}

func ExampleClient_RateLimit() {
	noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	srv := fastlytest.NewServer(fastlytest.WithClock(func() time.Time { return noon }))
	defer srv.Close()
	client := srv.Client()

	if _, ok := client.RateLimit(); !ok {
		fmt.Println("not known before a create or a revoke")
	}
	id := srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{}).ID
	if err := client.Tokens.RevokeToken(context.Background(), id); err != nil {
		log.Fatal(err)
	}
	if rl, ok := client.RateLimit(); ok {
		fmt.Println(rl.Remaining, "left until", rl.Reset.UTC().Format(time.TimeOnly))
	}
	// Output:
	// not known before a create or a revoke
	// 999 left until 13:00:00
}

func ExampleTokenResponse_Allows() {
	token := fastly.TokenResponse{
		Scopes:   fastly.ParseScopes("purge_all global:read"),
		Services: []string{"SU1Z0isxPaozGVKXdv0eY"},
	}
	fmt.Println(token.Allows(fastly.ScopePurgeAll, "SU1Z0isxPaozGVKXdv0eY"))
	fmt.Println(token.Allows(fastly.ScopePurgeAll, "7i6HN3TK9wS159v2gPAZ8A"))
	fmt.Println(token.Allows(fastly.ScopePurgeSelect, ""))

	// The scope global covers all others.
	admin := fastly.TokenResponse{Scopes: fastly.Scopes{fastly.ScopeGlobal}}
	fmt.Println(admin.Allows(fastly.ScopePurgeSelect, "7i6HN3TK9wS159v2gPAZ8A"))
	// Output:
	// true
	// false
	// false
	// true
}

func ExampleScopes_Has() {
	scopes := fastly.Scopes{fastly.ScopePurgeSelect, fastly.ScopeGlobalRead}
	fmt.Println(scopes)
	fmt.Println(scopes.Has(fastly.ScopeGlobalRead), scopes.Has(fastly.ScopeGlobal))

	// Names only: TokenResponse.Allows knows what global covers.
	fmt.Println(fastly.Scopes{fastly.ScopeGlobal}.Has(fastly.ScopePurgeAll))
	// Output:
	// purge_select global:read
	// true false
	// false
}
