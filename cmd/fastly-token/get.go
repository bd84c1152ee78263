package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

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
		if err := checkID("the argument", args[0]); err != nil {
			return err
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
	return a.prepared(needs{key: true}, cmd)
}
