package main

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fastly-tokens/fastly/internal/terminal"
)

const about = `Fastly-token shows, creates, audits, rotates and revokes the API tokens of a Fastly
account. An API token has an ID, scopes and an expiry; its secret text is its access token. An API
key is an access token that a program sends to the API.

Credentials come from the environment:

  FASTLY_API_TOKEN         the API key
  FASTLY_API_KEY           the API key, if FASTLY_API_TOKEN is not set
  FASTLY_API_TOKEN_FILE    file with the API key, instead of these two
  FASTLY_USERNAME          user name of the login that creates tokens
  FASTLY_PASSWORD_FILE     file with its password
  FASTLY_OTP_FILE          file with its one-time password, if the account has
                           two-factor authentication
  FASTLY_TOTP_SECRET_FILE  file with the secret that makes one-time passwords;
                           takes precedence over FASTLY_OTP_FILE
  FASTLY_API_URL           base URL of the API, if not https://api.fastly.com

Flags take precedence over the variables of the login. The program prompts for what neither
provides, if standard input is a terminal, and neither --no-input nor a variable CI (other than
"false") says that nobody is there. It takes no secret from an argument, and prints none except with
"create --print", "serve" and, for the log of a GitHub job to mask it, "exec".

Exit codes:

  0    done
  1    a failure: the API was not reached, or rejected the API key, for example
  2    wrong usage, or credentials are missing
  3    something exists that needs looking into: the text says what
  4    a finding of audit, or of whoami with --require or --valid-for
  126  the command of exec or serve can't be executed
  127  there is no such command
  130  interrupted (128 and the number of the signal)

exec and serve end with the exit code of their command, as a shell would report it.`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "fastly-token",
		Short:         "Manage the API tokens of a Fastly account",
		Long:          about,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	root.SetIn(a.stdin)
	root.SetOut(a)
	root.SetErr(a.stderr)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { a.helpErr = a.print(help(cmd, a.width())) })
	root.SetVersionTemplate("fastly-token {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if cmd.HasSubCommands() { // the flag is that of a command, whose name may be mistyped
			return cmp.Or(noCommand(cmd, cmd.Flags().Args()), err)
		}
		return err
	})
	fs := root.PersistentFlags()
	fs.Var((*duration)(&a.timeout), "timeout", "`time` that the whole command may take, such as 30s (default no limit)")
	fs.BoolVar(&a.verbose, "verbose", false, "log each request to standard error")
	fs.BoolVar(&a.noInput, "no-input", false, "do not prompt: fail if something is missing")
	root.AddCommand(
		a.whoamiCommand(), a.listCommand(), a.getCommand(),
		a.createCommand(), a.revokeCommand(), a.auditCommand(),
		a.rotateCommand(), a.execCommand(), a.serveCommand(),
	)
	root.SetHelpCommand(helpCommand(root))
	a.tidyCompletion(root)
	for _, cmd := range root.Commands() {
		cmd.ValidArgsFunction = completeArgument
		completeFlags(cmd, cmd.Flags())
	}
	completeFlags(root, fs)
	return root
}

// noCommand rejects the words after the program's name, which no command has.
func noCommand(root *cobra.Command, words []string) error {
	if len(words) == 0 {
		return nil
	}
	if near := root.SuggestionsFor(words[0]); len(near) > 0 {
		return usagef("there is no command %q: did you mean %s?", words[0], strings.Join(near, " or "))
	}
	return usagef("there is no command %q", words[0])
}

// completeFlags offers files for the flags that want one.
func completeFlags(cmd *cobra.Command, fs *pflag.FlagSet) {
	fs.VisitAll(func(f *pflag.Flag) {
		if value, _ := pflag.UnquoteUsage(f); value != "file" {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions) // unless it has one
		}
	})
}

// completeArgument offers files for the words of a command, but not for an ID.
func completeArgument(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if cmd.Name() == "exec" || len(args) > 0 && (cmd.Name() == "rotate" || cmd.Name() == "serve") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return cobra.NoFileCompletions(cmd, args, word)
}

// tidyCompletion shortens the help of cobra's command, which has lines that fit no terminal, makes
// it reject the names of other shells, and its script for bash say what is missing.
func (a *app) tidyCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	completion, _, _ := root.Find([]string{"completion"}) // it is there
	completion.Long = "Prints a script that makes a shell complete commands and flags. That for bash needs the package bash-completion."
	completion.Args, completion.RunE = noCommand, root.RunE
	for _, shell := range completion.Commands() {
		shell.Long, shell.Args = "", noArgs
	}
	bash := completion.Commands()[0]
	bash.Long = "Prints a script for bash, which needs the package bash-completion:\n\n  source <(fastly-token completion bash)"
	bash.PreRunE = func(*cobra.Command, []string) error { return a.print(needsBashCompletion) }
}

const needsBashCompletion = `if ! declare -F _get_comp_words_by_ref >/dev/null; then
    echo "fastly-token: completion in bash needs the package bash-completion" >&2
fi
`

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		Args:  cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, words []string) error {
			cmd, rest, _ := root.Find(words) // does not fail: each command checks the rest itself
			check := noArgs
			if cmd.HasSubCommands() {
				check = noCommand
			}
			if err := check(cmd, rest); err != nil {
				return err
			}
			cmd.InitDefaultHelpFlag() // as when it is executed
			cmd.InitDefaultVersionFlag()
			return cmd.Help()
		},
	}
}

// help returns the help of a command, at most width wide, and never more than 80.
func help(cmd *cobra.Command, width int) string {
	width = min(width, 80)
	var b strings.Builder
	text := cmp.Or(cmd.Long, cmd.Short+".")
	usage, more := cmd.UseLine(), `Use "fastly-token help" for the exit codes and the flags of every command.`
	if !cmd.HasParent() {
		usage, more = cmd.Name()+" COMMAND", `Use "fastly-token help COMMAND" for more about a command.`
	}
	b.WriteString(terminal.Wrap(text, width) + "\n\nUsage:\n" + terminal.Wrap("  "+usage, width) + "\n")
	if cmd.Example != "" {
		b.WriteString("\nExamples:\n" + terminal.WrapCommands(cmd.Example, width))
	}
	if cmd.HasAvailableSubCommands() {
		var list strings.Builder
		for _, sub := range cmd.Commands() {
			fmt.Fprintf(&list, "  %-12s%s\n", sub.Name(), sub.Short)
		}
		b.WriteString("\nCommands:\n" + terminal.Wrap(list.String(), width))
	}
	b.WriteString("\nFlags:\n" + terminal.Wrap(cmd.LocalFlags().FlagUsages(), width) + "\n")
	return b.String() + terminal.Wrap(more, width) + "\n"
}
