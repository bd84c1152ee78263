package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

const customerFlag = "`ID` of the customer whose tokens to use, or \"self\" for your own; needs a superuser, as far as is known (default the tokens of your user)"

func (a *app) listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens of your user, or of a customer",
		Args:  noArgs,
	}
	customer := cmd.Flags().String("customer", "", customerFlag)
	asJSON := jsonFlag(cmd.Flags())
	return a.withClient(cmd, func(ctx context.Context, client *fastly.Client, _ []string) error {
		tokens, partial := listTokens(ctx, client, *customer)
		switch {
		case tokens == nil:
			return partial
		case *asJSON:
			return errors.Join(a.print(toJSON(tokens)), partial)
		case len(tokens) == 0 && partial == nil:
			return a.print("There are no tokens.\n")
		}
		rows := make([]row, len(tokens))
		for i := range tokens {
			rows[i] = tokenRow(&tokens[i], *customer, a.apiTime())
		}
		return errors.Join(a.print(table(tokenColumns, rows, a.width(), a.styles())), partial)
	})
}

// tokenColumns leave an 80-column terminal room for whole IDs.
var tokenColumns = []column{
	{title: "ID"}, {title: "NAME", min: 8}, {title: "EXPIRES"}, {title: "LAST USED"},
	{title: "SCOPE", min: 8}, {title: "SERVICES"},
}

// tokenRow returns the cells for tokenColumns. A list of several users has a line for each.
func tokenRow(t *fastly.TokenResponse, customer string, now time.Time) row {
	services := "every"
	if !reachesAll(t) {
		services = strconv.Itoa(len(t.Services))
	}
	r := row{cells: []cell{
		{text: escape(t.ID)}, {text: escape(t.Name)}, {text: terminal.Until(t.ExpiresAt, now)}, {text: terminal.Until(t.LastUsedAt, now)},
		{text: scopesText(t.Scopes)}, {text: services},
	}}
	if customer != "" {
		r.group = "user " + escape(t.UserID)
	}
	return r
}

// listTokens returns the tokens of the client's user, or of the customer, sorted by user, name and
// ID: the API promises no order. With an error, the list is nil or the part of it that could be
// read.
func listTokens(ctx context.Context, client *fastly.Client, customer string) (tokens []fastly.TokenResponse, err error) {
	if customer == "" {
		tokens, err = client.Tokens.ListTokensUser(ctx)
	} else {
		tokens, err = listCustomer(ctx, client, customer)
	}
	if tokens != nil && err != nil {
		err = fmt.Errorf("the list is not complete: %w", err)
	}
	slices.SortFunc(tokens, func(a, b fastly.TokenResponse) int {
		return cmp.Or(
			strings.Compare(a.UserID, b.UserID),
			strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)),
			strings.Compare(a.ID, b.ID),
		)
	})
	return tokens, err
}

func listCustomer(ctx context.Context, client *fastly.Client, customer string) ([]fastly.TokenResponse, error) {
	if strings.EqualFold(customer, "self") {
		current, err := client.Tokens.GetTokenCurrent(ctx)
		if err != nil {
			return nil, err
		}
		customer = current.CustomerID
	}
	if err := checkID("--customer", customer); err != nil {
		return nil, err
	}
	tokens, err := client.Tokens.ListTokensCustomer(ctx, customer)
	if errors.Is(err, fastly.ErrForbidden) {
		err = fmt.Errorf("%w; --customer needs the API key of a superuser of that customer", err)
	}
	return tokens, err
}

func (a *app) getCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Show a token by its ID",
		Args:  cobra.ArbitraryArgs,
	}
	asJSON := jsonFlag(cmd.Flags())
	return a.withClient(cmd, func(ctx context.Context, client *fastly.Client, args []string) error {
		if len(args) != 1 {
			return usagef("say which token: one ID")
		}
		if err := checkID("the argument", args[0]); err != nil {
			return err
		}
		token, err := client.Tokens.GetToken(ctx, args[0])
		if err != nil {
			return err
		}
		return a.printToken(token, *asJSON)
	})
}
