// Quickstart shows every operation of the Fastly Tokens API, one after the other:
// what it is for, its Go, and what came back.
//
//	go run ./examples/quickstart
//
// It runs against a server of its own, in memory, so it needs no account, network or
// credentials, and uses none that the environment has.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	api := newAPI()
	out := bufio.NewWriter(os.Stdout)
	err := errors.Join(quickstart(ctx, api, &tour{out: out}), out.Flush())
	api.Close()
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

const service = "6pQ3vWcZr1LkT8mYxN0bHd"

// newAPI starts an API with the made-up tokens of two users.
func newAPI() *fastlytest.Server {
	api := fastlytest.NewServer()
	ada := api.AddUser(fastlytest.User{Login: "ada@example.com"})
	for _, t := range []struct {
		user string
		fastly.TokenResponse
	}{
		{api.User().ID, fastly.TokenResponse{Name: "terraform", ExpiresAt: time.Now().AddDate(0, 0, 8)}},
		{api.User().ID, fastly.TokenResponse{Name: "metrics", Scopes: fastly.Scopes{fastly.ScopeGlobalRead}}},
		{ada.ID, fastly.TokenResponse{Name: "old-jenkins"}},
	} {
		api.AddToken(t.user, fastly.TokenCreatedResponse{TokenResponse: t.TokenResponse})
	}
	return api
}

// quickstart shows the operations. A test compares the Go that it shows with the Go
// that follows.
func quickstart(ctx context.Context, api *fastlytest.Server, t *tour) error {
	key, user := api.Key().Reveal(), api.User()
	t.say("The eight operations of the Fastly Tokens API, against an embedded server with made-up tokens, " + api.URL + ". Nothing leaves this machine. What is marked (assumed) is a guess about the real API: see docs/api.md.")

	t.step("A client with an API key. Without WithBaseURL it uses https://api.fastly.com.", `
		client, err := fastly.NewClient(
			fastly.WithAPIKey(key), fastly.WithBaseURL(api.URL))`)
	client, err := fastly.NewClient(
		fastly.WithAPIKey(key), fastly.WithBaseURL(api.URL))
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	t.result("a client, and no request yet")

	t.step("GetTokenCurrent, GET /tokens/self: which token is this? Any key may ask (assumed).", `
		self, err := client.Tokens.GetTokenCurrent(ctx)`)
	self, err := client.Tokens.GetTokenCurrent(ctx)
	if err != nil {
		return err
	}
	t.result("%q: scope %q, expires never: %t", self.Name, self.Scopes, self.ExpiresAt.IsZero())

	t.step("ListTokensUser, GET /tokens: the tokens of the key's user.", `
		mine, err := client.Tokens.ListTokensUser(ctx)`)
	mine, err := client.Tokens.ListTokensUser(ctx)
	if err != nil {
		return err
	}
	t.result("%s", names(mine))

	t.step("ListTokensCustomer, GET /customer/{customer_id}/tokens: everyone's. The key's user must be a superuser (assumed).", `
		all, err := client.Tokens.ListTokensCustomer(ctx, self.CustomerID)`)
	all, err := client.Tokens.ListTokensCustomer(ctx, self.CustomerID)
	if err != nil {
		return err
	}
	t.result("%s", names(all))

	t.step("CreateToken, POST /tokens: by user name and password, as a key alone can't create one. This one may purge one service, for an hour.", `
		created, err := client.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
			Name:     "purger",
			Scopes:   fastly.Scopes{fastly.ScopePurgeSelect},
			Services: []string{service},
			Lifetime: time.Hour,
			Username: user.Login,
			Password: fastly.Secret(user.Password),
		})`)
	created, err := client.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
		Name:     "purger",
		Scopes:   fastly.Scopes{fastly.ScopePurgeSelect},
		Services: []string{service},
		Lifetime: time.Hour,
		Username: user.Login,
		Password: fastly.Secret(user.Password),
	})
	if err != nil {
		return err
	}
	t.result("%q, with the access token %v: the API shows it once, and a Secret prints so", created.Name, created.AccessToken)

	t.step("GetToken, GET /tokens/{token_id}: one token by its ID.", `
		purger, err := client.Tokens.GetToken(ctx, created.ID)`)
	purger, err := client.Tokens.GetToken(ctx, created.ID)
	if err != nil {
		return err
	}
	t.result("%q: scope %q, 1 of the services, expires %s", purger.Name, purger.Scopes, purger.ExpiresAt.Format(time.DateTime))

	t.step("RevokeTokenCurrent, DELETE /tokens/self, takes a key of scope global (assumed): a purge token is refused. Every error says why, and matches a sentinel.", `
		limited, err := client.With(
			fastly.WithAPIKey(created.AccessToken.Reveal()))
		refusal := limited.Tokens.RevokeTokenCurrent(ctx)`)
	limited, err := client.With(
		fastly.WithAPIKey(created.AccessToken.Reveal()))
	if err != nil {
		return err
	}
	refusal := limited.Tokens.RevokeTokenCurrent(ctx)
	if !errors.Is(refusal, fastly.ErrForbidden) {
		return fmt.Errorf("a purge token revoked itself: %w", refusal)
	}
	t.result("%v. errors.Is(refusal, fastly.ErrForbidden): true", refusal)

	t.step("RevokeToken, DELETE /tokens/{token_id}: one token by its ID.", `
		err = client.Tokens.RevokeToken(ctx, purger.ID)`)
	err = client.Tokens.RevokeToken(ctx, purger.ID)
	if err != nil {
		return err
	}
	t.result("%q is revoked", purger.Name)

	t.step("BulkRevokeTokens, DELETE /tokens: several in one request, all or none (assumed). Here, those that never expire.", `
		var forever []string
		for _, token := range all {
			if token.ExpiresAt.IsZero() && token.ID != self.ID {
				forever = append(forever, token.ID)
			}
		}
		err = client.Tokens.BulkRevokeTokens(ctx, forever)`)
	var forever []string
	for _, token := range all {
		if token.ExpiresAt.IsZero() && token.ID != self.ID {
			forever = append(forever, token.ID)
		}
	}
	err = client.Tokens.BulkRevokeTokens(ctx, forever)
	if err != nil {
		return err
	}
	t.result("%d tokens are revoked", len(forever))

	t.step("RevokeTokenCurrent again, with the key of scope global.", `
		err = client.Tokens.RevokeTokenCurrent(ctx)`)
	err = client.Tokens.RevokeTokenCurrent(ctx)
	if err != nil {
		return err
	}
	t.result("%q is revoked, and the client's key no longer works", self.Name)

	t.say("Next: the programs in examples/, which are made to be copied, docs/recipes.md, and \"go doc -all .\".")
	return nil
}

// names returns the names of tokens. They are quoted, as a name can hold anything.
func names(tokens []fastly.TokenResponse) string {
	var quoted []string
	for _, t := range tokens {
		quoted = append(quoted, fmt.Sprintf("%q", t.Name))
	}
	return fmt.Sprintf("%d tokens: %s", len(tokens), strings.Join(quoted, ", "))
}

// tour prints, in 80 columns.
type tour struct {
	out   io.Writer // keeps its first error, as a bufio.Writer does
	steps int
}

func (t *tour) say(text string) { t.wrap("", text) }

// step announces what is next: what it is for, and its Go.
func (t *tour) step(text, code string) {
	t.steps++
	t.wrap(fmt.Sprintf("%2d. ", t.steps), text)
	code = strings.ReplaceAll(code, "\n\t", "\n") // one level less
	fmt.Fprintf(t.out, "%s\n\n", strings.ReplaceAll(strings.Trim(code, "\n"), "\t", "    "))
}

func (t *tour) result(format string, args ...any) { t.wrap(" -> ", fmt.Sprintf(format, args...)) }

// wrap prints a paragraph after a label.
func (t *tour) wrap(label, text string) {
	line := label
	for _, word := range strings.Fields(text) {
		if len(line)+len(word) > 79 {
			fmt.Fprintln(t.out, strings.TrimRight(line, " "))
			line = strings.Repeat(" ", len(label))
		}
		line += word + " "
	}
	fmt.Fprintf(t.out, "%s\n\n", strings.TrimRight(line, " "))
}
