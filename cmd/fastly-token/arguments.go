package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fastly-tokens/fastly"
)

var (
	// idForm is the form of the IDs of tokens, services and customers.
	idForm    = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)
	scopeForm = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)
	// tokenForm is the form of access tokens, of which nothing else here has the length, and
	// tokenWord finds what may hold one.
	tokenForm = regexp.MustCompile(`^[A-Za-z0-9_-]{32}$`)
	tokenWord = regexp.MustCompile(`[A-Za-z0-9_-]{32,}`)
)

// hide returns what replaces words of the arguments that may be access tokens, as errors quote
// arguments. Only words of exactly that length are hidden in paths.
func hide(args []string) *strings.Replacer {
	var pairs []string
	for _, arg := range args {
		for _, word := range tokenWord.FindAllString(arg, -1) {
			if tokenForm.MatchString(word) || !strings.ContainsAny(arg, `/\`) {
				pairs = append(pairs, word, "[REDACTED]")
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

// checkArguments rejects access tokens among the arguments: that of the environment anywhere, and
// what looks like one up to the words of a command, where it may be a checksum.
func (a *app) checkArguments(args []string) error {
	const everybody = ": every user of this machine can read arguments"
	if holdsAny(strings.Join(args, " "), a.findable()) {
		return usagef("an argument holds the API key of the environment" + everybody)
	}
	for i, arg := range args {
		if arg == "--" {
			break
		}
		parts := strings.FieldsFunc(arg, func(r rune) bool { return strings.ContainsRune(",:= []\r\n", r) })
		if slices.ContainsFunc(parts, tokenForm.MatchString) {
			return usagef("argument %d looks like an access token%s; put ./ before the name of a file, and -- before a command", i+1, everybody)
		}
	}
	return nil
}

// prepared makes cmd check the credentials before its arguments, record for [app.finish] that the
// arguments are valid, and keep to --timeout.
func (a *app) prepared(n needs, cmd *cobra.Command) *cobra.Command {
	args, run := cmd.Args, cmd.RunE
	cmd.Args = func(cmd *cobra.Command, words []string) error {
		if err := a.check(n); err != nil {
			return err
		}
		if err := args(cmd, words); err != nil {
			return err
		}
		return noneEmpty(cmd.Flags())
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		if missing := a.check(n); missing != nil {
			return missing
		}
		return err
	})
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		a.started = true
		if a.timeout > 0 {
			ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
			defer cancel()
			cmd.SetContext(ctx)
		}
		return run(cmd, words)
	}
	return cmd
}

// withClient makes cmd run f, with a client that uses the API key of the environment.
func (a *app) withClient(cmd *cobra.Command, f func(ctx context.Context, client *fastly.Client, args []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		return f(cmd.Context(), client, args)
	}
	return a.prepared(needs{key: true}, cmd)
}

// noArgs is [cobra.NoArgs] without the words "unknown command".
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}

// noneEmpty rejects flags without a value: they come from an unset variable of a script, and to
// ignore them could widen the request, to a token for every service.
func noneEmpty(fs *pflag.FlagSet) (err error) {
	fs.Visit(func(f *pflag.Flag) {
		if text := f.Value.String(); err == nil && (text == "" || text == "[]") {
			err = fmt.Errorf("--%s is empty", f.Name)
		}
	})
	return err
}

// checkID rejects what is no ID, without showing it: it may be a secret.
func checkID(what, id string) error {
	isSelf := strings.EqualFold(id, "self") // which means the token of the API key to the API
	switch {
	case isSelf && strings.HasPrefix(what, "--"): // the ID of something else
		return usagef("%s is %q, not an ID", what, id)
	case isSelf:
		return usagef("%s is %q, not an ID: for the token of the API key, use whoami, revoke --self, or rotate without an ID", what, id)
	case !idForm.MatchString(id):
		return usagef("%s is not an ID, which has only letters and digits", what)
	}
	return nil
}
