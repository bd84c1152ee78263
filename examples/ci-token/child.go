package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
)

// parentVars are where [fastly.NewClientFromEnv] finds the parent token.
var parentVars = []string{"FASTLY_API_TOKEN", "FASTLY_API_KEY"}

// minToken is the length from which a token is looked for in other variables:
// those of the API have 32 characters, and "x" is in every other word.
const minToken = 16

// childEnv is environ for the command: with the token, and without the parent
// token in whichever variable it stands. held are the other variables that were
// left out for that. apiURL replaces FASTLY_API_URL if it is not empty.
func childEnv(environ []string, variable string, token fastly.Secret, apiURL string) (env, held []string) {
	var parents []string
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); isOneOf(name, parentVars) && len(value) >= minToken {
			parents = append(parents, value)
		}
	}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case isOneOf(name, parentVars), isOneOf(name, []string{variable}):
		case apiURL != "" && isOneOf(name, []string{"FASTLY_API_URL"}):
		case holdsAny(value, parents):
			held = append(held, name)
		default:
			env = append(env, entry)
		}
	}
	if apiURL != "" {
		env = append(env, "FASTLY_API_URL="+apiURL)
	}
	return append(env, variable+"="+token.Reveal()), held
}

// isOneOf takes no account of case, as Windows does.
func isOneOf(name string, names []string) bool {
	for _, other := range names {
		if strings.EqualFold(name, other) {
			return true
		}
	}
	return false
}

func holdsAny(value string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(value, part) {
			return true
		}
	}
	return false
}

// runCommand runs the command to its end, hands signals on to it, and returns
// the exit code.
func (w world) runCommand(path string, command, env []string, log *demo.Printer) int {
	// Nothing but a signal or itself ends the command, so no context does.
	cmd := exec.CommandContext(context.Background(), path) // #nosec G204 -- to run a given command is what the program is for
	cmd.Args = command
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = w.stdin, w.stdout, w.stderr
	if err := cmd.Start(); err != nil {
		log.Printf("ci-token: %v\n", err)
		return exitCodeOf(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	fromKeys := w.atTerminal()
	for {
		select {
		case sig := <-w.signals:
			if fromKeys && (sig == os.Interrupt || sig == syscall.SIGQUIT) {
				// The terminal has sent it to the command, too, and many
				// programs take a second one for "at once".
				fromKeys = false
				continue
			}
			if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
				log.Printf("ci-token: the command did not get the signal %v: %v\n", sig, err)
			}
		case err := <-ended:
			if cmd.ProcessState == nil {
				log.Printf("ci-token: %v\n", err)
				return exitFailed
			}
			return exitCode(cmd.ProcessState)
		}
	}
}

// exitCode is what a shell would report.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignal + int(status.Signal())
	}
	return state.ExitCode()
}
