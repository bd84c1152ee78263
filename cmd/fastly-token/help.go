package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fastly-tokens/fastly/internal/terminal"
)

// helpWidth is the width that help has at most, and where there is no terminal.
const helpWidth = 80

func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		Args:  cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, words []string) error {
			cmd, rest, err := root.Find(words)
			if err != nil || len(rest) > 0 {
				return noCommand(root, words)
			}
			cmd.InitDefaultHelpFlag() // as when it is executed
			cmd.InitDefaultVersionFlag()
			return cmd.Help()
		},
	}
}

// help returns the help of a command, at most width wide; 0 means no limit.
func help(cmd *cobra.Command, width int) string {
	if width == 0 || width > helpWidth {
		width = helpWidth
	}
	var b strings.Builder
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	usage := cmd.UseLine()
	if !cmd.HasParent() {
		usage = cmd.Name() + " COMMAND"
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
	more := `Use "fastly-token help" for the exit codes and the flags of every command.`
	if !cmd.HasParent() {
		more = `Use "fastly-token help COMMAND" for more about a command.`
	}
	return b.String() + terminal.Wrap(more, width) + "\n"
}
