package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/fastly-tokens/fastly/fastlytest"
)

// served is what a client of the server needs to know. All of it is made up.
type served struct {
	URL       string      `json:"url"`
	Key       string      `json:"api_token"`
	Login     servedLogin `json:"login"`
	TwoFactor servedLogin `json:"two_factor_login"`
}

type servedLogin struct {
	Username string `json:"username"`
	Password string `json:"password"`
	OTP      string `json:"one_time_password,omitempty"`
}

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run an in-memory Tokens API, for tests of clients in any language",
		Long: `Runs an in-memory Tokens API on a loopback port until Ctrl-C or SIGTERM, and
prints its URL and made-up credentials: an API token of global scope, the login
of its user, who is a superuser, and that of a user with two-factor
authentication. Nothing is stored, and nothing leaves this machine.

It is as strict as the API. For example, a create by API token needs a POST to
/sudo first, unless --without-sudo is given; a create by login does not.`,
		Example: `  fastly-token serve --json >api.json &`,
		Args:    noArgs,
	}
	asJSON := jsonFlag(cmd.Flags())
	withoutSudo := cmd.Flags().Bool("without-sudo", false, "let an API token create tokens at any time")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var opts []fastlytest.Option
		if *withoutSudo {
			opts = append(opts, fastlytest.WithoutSudo())
		}
		srv := fastlytest.NewServer(opts...)
		defer srv.Close()
		user := srv.User()
		second := srv.AddUser(fastlytest.User{Login: "second@example.com", OTP: "314159"})
		s := served{
			URL: srv.URL, Key: srv.Key().Reveal(),
			Login:     servedLogin{Username: user.Login, Password: user.Password},
			TwoFactor: servedLogin{Username: second.Login, Password: second.Password, OTP: second.OTP},
		}
		if err := a.printServed(s, *asJSON); err != nil {
			return err
		}
		<-cmd.Context().Done()
		if errors.As(context.Cause(cmd.Context()), new(interruption)) {
			return nil // the usual end
		}
		return cmd.Context().Err()
	}
	return a.needs(credentials{}, cmd)
}

func (a *app) printServed(s served, asJSON bool) error {
	if asJSON {
		return a.printJSON(s)
	}
	columns := []column{
		{title: "URL"}, {title: "API token"}, {title: "User name"}, {title: "Password"},
		{title: "With two-factor authentication: user name"}, {title: "Password"}, {title: "One-time password"},
	}
	cells := []cell{
		{text: s.URL}, {text: s.Key}, {text: s.Login.Username}, {text: s.Login.Password},
		{text: s.TwoFactor.Username}, {text: s.TwoFactor.Password}, {text: s.TwoFactor.OTP},
	}
	return a.print(fields(columns, cells, 0, a.styles()))
}
