package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/rotate"
)

// minSecret is the length of the shortest secret to look for in other variables. Access tokens
// have 32 characters; a shorter secret may be part of any word.
const minSecret = 12

// findable are the secrets of the environment and those given, except for those that are too short
// to be looked for.
func (a *app) findable(secrets ...fastly.Secret) (texts []string) {
	for _, secret := range append(secrets, a.key.value, fastly.Secret(a.getenv(varKey))) {
		if len(secret) >= minSecret {
			texts = append(texts, secret.Reveal())
		}
	}
	return texts
}

// credentialName matches the variables with credentials of this and other programs for Fastly.
// Windows ignores case.
var credentialName = regexp.MustCompile(`(?i)^FASTLY_(\w+_)?(TOKEN|KEY|USERNAME|PASSWORD|OTP|SECRET)(_FILE)?$`)

// readFiles reads the files of variables for [app.childEnv], each for at most a second: a mount may
// hang. It does so before there is a token, which would stay.
func (a *app) readFiles(ctx context.Context, l *login) {
	otp, secret := l.codeFiles(a)
	own := []string{l.passwordFile(a), otp, secret, a.getenv(varTokenFile)}
	a.files = map[string]*string{}
	for _, entry := range a.environ {
		name, path, _ := strings.Cut(entry, "=")
		if !strings.HasSuffix(strings.ToUpper(name), "_FILE") {
			continue
		}
		a.files[entry] = nil
		wait, cancel := context.WithTimeout(ctx, time.Second)
		if text, err := await(wait, func() (string, error) { return a.readOther(path, own) }); err == nil {
			a.files[entry] = &text
		}
		cancel()
	}
}

// readOther reads a file other than the program's own. What is no regular file holds nothing.
func (a *app) readOther(path string, own []string) (string, error) {
	info, err := os.Stat(path)
	for _, file := range own {
		if other, _ := os.Stat(file); os.SameFile(info, other) {
			return "", errors.New("it holds a credential")
		}
	}
	if err == nil && info.Mode().IsRegular() {
		return a.readFile(path, 16<<20)
	}
	return "", nil
}

// childEnv is the environment without credentials: those of Fastly, and variables that hold, or
// name a file that holds or may hold, those that the program has used.
func (a *app) childEnv(l *login) (env []string) {
	var held []string
	for _, entry := range a.environ {
		name, value, _ := strings.Cut(entry, "=")
		text, isFile := a.files[entry]
		switch {
		case credentialName.MatchString(name):
		case a.holdsSecret(value, l), isFile && (text == nil || a.holdsSecret(*text, l)):
			held = append(held, name)
		default:
			env = append(env, entry)
		}
	}
	if len(held) > 0 {
		a.say("not passed on, because they hold or may hold credentials: %s", strings.Join(held, " "))
	}
	return env
}

// holdsSecret reports whether text holds a secret, or is one that is short.
func (a *app) holdsSecret(text string, l *login) bool {
	return holdsAny(text, a.findable(l.password)) || text != "" && text == l.password.Reveal()
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

// runCommand runs the command to its end, passes the signals on to it, and returns its exit code.
func (a *app) runCommand(ctx context.Context, command, env []string, signals <-chan os.Signal) int {
	cmd := commandContext(ctx, command)
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
			early--
			if early < 0 && fromKeys && (sig == os.Interrupt || sig == syscall.SIGQUIT) {
				// The terminal has sent it to the command, too, and for many programs a second one
				// means "immediately".
				fromKeys = false
				continue
			}
			if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
				a.say("the command did not get the signal %v: %v", sig, err)
			}
			stopsOn(sig)
		case err := <-ended:
			if ctx.Err() != nil { // only --timeout ends it by now
				a.say("--timeout %v is over: the command was asked to end", a.timeout)
			}
			if cmd.ProcessState == nil {
				a.say("%v", err)
				return exitFailed
			}
			return processCode(cmd.ProcessState)
		}
	}
}

// patience is how long a command may run after it was asked to end.
const patience = 10 * time.Second

// commandContext returns a command that is asked to end when ctx ends.
func commandContext(ctx context.Context, command []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) // #nosec G204 -- to run a given command is what it is for
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return cmd.Process.Kill() // no such signal here
		}
		return nil
	}
	cmd.WaitDelay = patience
	return cmd
}

// processCode returns the exit code that a shell would report.
func processCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignaled + int(status.Signal())
	}
	return state.ExitCode()
}

// hand passes the access token to the command on standard input. Exit code 0 means that the command
// took it, if it has read all of it; any other that it did not. If the command was killed, it may
// have taken it.
func (r *rotation) hand(ctx context.Context, created *fastly.TokenCreatedResponse) error {
	// The pipe holds the whole text, and is closed for writing, before the command starts: even if
	// this program dies, the command reads all of it.
	stdin, err := filledPipe(created.AccessToken)
	if err != nil {
		return err
	}
	cmd := commandContext(ctx, r.command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, r.stderr, r.stderr
	cmd.Env = r.childEnv(&r.login)
	err = cmd.Run()
	unread, readErr := io.ReadAll(stdin) // which ends, as nobody can write any more
	_ = stdin.Close()
	isExited := cmd.ProcessState != nil && cmd.ProcessState.Exited()
	switch {
	case err == nil && len(unread) == 0:
		return readErr
	case err == nil:
		return errors.New("the command did not read the access token to its end, although its exit code is 0")
	case cmd.Process != nil && (!isExited || ctx.Err() != nil):
		return fmt.Errorf("%w: the command was interrupted: %w", rotate.ErrMaybeHandedOver, err)
	}
	return fmt.Errorf("the command did not take the access token: %w", err)
}

// filledPipe returns the read end of a pipe that holds the secret, which is much shorter than the
// 512 bytes that POSIX guarantees a pipe to hold.
func filledPipe(secret fastly.Secret) (*os.File, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = writer.WriteString(secret.Reveal())
	if err := errors.Join(err, writer.Close()); err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	return reader, nil
}
