package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/rotate"
)

// minSecret is the length of the shortest secret to look for in other variables.
// Tokens have 32 characters; a shorter secret may be part of any word.
const minSecret = 12

// findable are the API tokens of the environment and the secrets, except for
// those that are too short to be looked for.
func (a *app) findable(secrets ...fastly.Secret) (texts []string) {
	for _, secret := range append(secrets, fastly.Secret(a.getenv(varToken)), fastly.Secret(a.getenv(varKey))) {
		if len(secret) >= minSecret {
			texts = append(texts, secret.Reveal())
		}
	}
	return texts
}

// childEnv is the environment without the FASTLY_ variables, and without those that
// hold an API token or one of the secrets.
func (a *app) childEnv(secrets ...fastly.Secret) (env []string) {
	hidden := a.findable(secrets...)
	var held []string
	for _, entry := range a.environ {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case isFastly(entry):
		case holdsAny(value, hidden), value != "" && slices.Contains(secrets, fastly.Secret(value)):
			held = append(held, name)
		default:
			env = append(env, entry)
		}
	}
	if len(held) > 0 {
		a.say("not passed on, because they hold credentials: %s", strings.Join(held, " "))
	}
	return env
}

// isFastly reports whether a variable is one of this and other programs for Fastly.
func isFastly(entry string) bool {
	return strings.HasPrefix(strings.ToUpper(entry), "FASTLY_") // Windows ignores case
}

// holdsAny reports whether text contains one of the secrets.
func holdsAny(text string, secrets []string) bool {
	return slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(text, secret) })
}

// queueSignals returns the signals from now on, for the command that is to be run.
func (a *app) queueSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 16)
	a.handleSignals(func(sig os.Signal) {
		select {
		case signals <- sig:
		default: // the command has enough to handle
		}
	})
	return signals
}

// runCommand runs the command to its end, passes the signals on to it, and
// returns its exit code.
func (a *app) runCommand(command, env []string, signals <-chan os.Signal) int {
	// Only a signal may end the command early, so its context never ends.
	cmd := exec.CommandContext(context.Background(), command[0], command[1:]...) // #nosec G204 -- to run a given command is what it is for
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.stdin, a.stdout, a.stderr
	early := len(signals) // which no terminal has sent to the command
	if err := cmd.Start(); err != nil {
		a.say("%v", err)
		return commandCode(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	fromKeys := a.keysSignal()
	for {
		select {
		case sig := <-signals:
			if early--; early < 0 && fromKeys && (sig == os.Interrupt || sig == syscall.SIGQUIT) {
				// The terminal has sent it to the command, too, and for many
				// programs a second one means "immediately".
				fromKeys = false
				continue
			}
			if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
				a.say("the command did not get the signal %v: %v", sig, err)
			}
		case err := <-ended:
			if cmd.ProcessState == nil {
				a.say("%v", err)
				return exitFailed
			}
			return processCode(cmd.ProcessState)
		}
	}
}

// codeError is the error for the exit code of a command.
func codeError(code int) error {
	if code == 0 {
		return nil
	}
	return exitError(code)
}

// processCode returns the exit code that a shell would report.
func processCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignaled + int(status.Signal())
	}
	return state.ExitCode()
}

// patience is how long a command may run after it was asked to end.
const patience = 10 * time.Second

// hand passes the token to the command on standard input. Exit code 0 means that
// the command took the token, any other that it did not. If the command was
// killed, it may have taken the token.
func (r *rotation) hand(ctx context.Context, created *fastly.TokenCreatedResponse) error {
	// The pipe holds the whole token, and is closed for writing, before the command
	// starts: even if this program dies, the command reads all of it.
	stdin, err := filledPipe(created.AccessToken)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, r.command[0], r.command[1:]...) // #nosec G204 -- to run a given command is what it is for
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, r.stderr, r.stderr
	cmd.Env = r.childEnv(r.login.password)
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return cmd.Process.Kill() // no such signal here
		}
		return nil
	}
	cmd.WaitDelay = patience
	err = cmd.Run()
	_ = stdin.Close() // the command has a copy
	switch state := cmd.ProcessState; {
	case err == nil:
		return nil
	case cmd.Process != nil && (state == nil || ctx.Err() != nil || !state.Exited()):
		return fmt.Errorf("%w: the command was interrupted: %w", rotate.ErrMaybeHandedOver, err)
	}
	return fmt.Errorf("the command did not take the token: %w", err)
}

// filledPipe returns the read end of a pipe that holds the token, which is much
// shorter than the 512 bytes that POSIX guarantees a pipe to hold.
func filledPipe(token fastly.Secret) (*os.File, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = writer.WriteString(token.Reveal())
	if err := errors.Join(err, writer.Close()); err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	return reader, nil
}
