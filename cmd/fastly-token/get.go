package main

import (
	"fmt"
	"regexp"

	"github.com/spf13/cobra"
)

// idForm is the form of the IDs of tokens, services and customers.
var idForm = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)

// oneID allows exactly one argument.
func oneID(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want the ID of one token, and not %d arguments", len(args))
	}
	return nil
}

func (a *app) getCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Show a token by its ID",
		Args:  oneID,
	}
	asJSON := jsonFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		if !idForm.MatchString(args[0]) {
			return usagef("%q is not the ID of a token", args[0])
		}
		token, err := client.Tokens.GetToken(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(token)
		}
		return a.print(a.describe(token))
	}
	return a.needs(credentials{key: true}, cmd)
}
