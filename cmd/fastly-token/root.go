package main

import (
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const about = `Fastly-token shows, creates, audits, rotates and revokes the API tokens of a
Fastly account.

Credentials come from the environment:

  FASTLY_API_TOKEN      API token to work with; else FASTLY_API_KEY
  FASTLY_USERNAME       user name of the login that creates tokens
  FASTLY_PASSWORD_FILE  file with its password
  FASTLY_OTP_FILE       file with its one-time password, if the account has
                        two-factor authentication
  FASTLY_API_URL        base URL of the API, if not https://api.fastly.com

Flags take precedence over the variables of the login. If standard input is a
terminal, the program prompts for what neither provides. It takes no secret from
an argument, and prints none except with "create --print" and "serve".

Exit codes:

  0    done
  1    a finding, or a failure
  2    wrong usage, or credentials are missing
  3    something exists that needs looking into: the text says what
  130  interrupted (128 and the number of the signal)

exec ends with the exit code of its command.`

// root returns the program's command, with all others below it.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "fastly-token",
		Short:         "Manage the API tokens of a Fastly account",
		Long:          about,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetUsageTemplate(strings.NewReplacer(
		"FlagUsages ", "FlagUsagesWrapped 80 ", "more information about", "more about",
	).Replace(root.UsageTemplate()))
	root.SetVersionTemplate("fastly-token {{.Version}}\n")
	root.AddCommand(
		a.whoamiCommand(), a.listCommand(), a.getCommand(),
		a.createCommand(), a.revokeCommand(), a.auditCommand(),
		a.rotateCommand(), a.execCommand(), a.serveCommand(),
	)
	for _, cmd := range root.Commands() {
		cmd.ValidArgsFunction = completeArgument
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if value, _ := pflag.UnquoteUsage(f); value != "file" {
				_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions) // unless it has one
			}
		})
	}
	// Cobra takes any word after "completion", and prints help.
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.RunE = root.RunE
	}
	return root
}

// completeArgument offers files for the words of a command, but not for an ID.
func completeArgument(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if cmd.Name() == "exec" || cmd.Name() == "rotate" && len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return cobra.NoFileCompletions(cmd, args, word)
}

// version returns the version of the module, or else the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && len(setting.Value) >= 12 {
			return "devel-" + setting.Value[:12]
		}
	}
	return "devel"
}
