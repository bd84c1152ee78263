package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/rotate"
)

// Exit codes. exec adds those of its command. From 126 on they are as in env(1) and timeout(1).
const (
	exitFailed        = 1 // a failure
	exitUsage         = 2 // wrong usage, or missing credentials
	exitLookInto      = 3 // something exists that needs looking into
	exitFinding       = 4 // a check found something
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignaled      = 128 // plus the signal's number: 130 is Ctrl-C
)

// app is the environment of the program. Tests replace it.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
	now            func() time.Time
	sleep          func(context.Context, time.Duration) error
	signals        <-chan os.Signal
	exit           func(code int) // ends the process
	keysSignal     func() bool    // reports whether a terminal sends Ctrl-C to child processes, too
	options        []fastly.Option
	readFile       func(path string, limit int64) (string, error) // [secretfile.ReadRegular]

	timeout time.Duration // flags of every command
	verbose bool
	noInput bool

	key     environmentKey
	hidden  *strings.Replacer  // of access tokens in arguments
	files   map[string]*string // by entries of environ: what the files of variables hold, nil if that is not known
	started bool               // the command runs: its arguments and flags are valid
	helpErr error              // of printing help, for which cobra has no place

	offset atomic.Int64 // of the API's clock, in nanoseconds

	interrupt context.CancelCauseFunc // ends the context of the command
	mu        sync.Mutex
	onSignal  func(os.Signal)
}

// run runs the program and returns its exit code.
func (a *app) run(args []string) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	a.interrupt = cancel
	a.interruptOnSignals(a.exit)
	a.key = a.readKey(ctx)
	a.hidden = hide(args)
	done := make(chan struct{})
	var dispatcher sync.WaitGroup
	dispatcher.Go(func() {
		for {
			select {
			case sig := <-a.signals:
				a.mu.Lock()
				a.onSignal(sig)
				a.mu.Unlock()
			case <-done:
				return
			}
		}
	})
	defer dispatcher.Wait()
	defer close(done)

	root := a.root()
	root.SetContext(ctx)
	if err := a.checkArguments(args); err != nil {
		return a.finish(ctx, root, err)
	}
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return a.finish(ctx, cmd, cmp.Or(err, a.helpErr))
}

// interruptOnSignals makes the first ending signal end the context of the command, and each that comes
// at least a second later call end: timeout(1) and terminals send the first one twice.
func (a *app) interruptOnSignals(end func(code int)) {
	var first time.Time
	a.handleSignals(func(sig os.Signal) {
		switch {
		case !slices.Contains(endingSignals, sig):
			stopsOn(sig)
		case first.IsZero():
			first = a.now()
			a.interrupt(interruption{sig})
		case a.now().Sub(first) >= time.Second:
			end(interruption{sig}.code())
		}
	})
}

// handleSignals sets what happens on a signal. When it returns, the earlier handler is not running.
func (a *app) handleSignals(handle func(os.Signal)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.onSignal = handle
}

// getenv is [os.Getenv] for the environment of the app.
func (a *app) getenv(name string) string {
	for _, entry := range a.environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// width returns how many columns stdout has.
func (a *app) width() int {
	if f, ok := a.stdout.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return cmp.Or(width, unlimited) // 0 if the terminal does not know
		}
	}
	width, _ := strconv.Atoi(a.getenv("COLUMNS")) // 0 if it is no number
	return cmp.Or(max(width, 0), unlimited)
}

// say writes lines to stderr, for a person. It ignores errors, which are no reason to stop half-way.
func (a *app) say(format string, args ...any) {
	for line := range strings.Lines(a.hidden.Replace(fmt.Sprintf(format, args...))) {
		_, _ = io.WriteString(a.stderr, "fastly-token: "+strings.TrimRight(line, "\n")+"\n")
	}
}

func (a *app) print(text string) error {
	if _, err := io.WriteString(a.stdout, text); err != nil {
		return &outputError{err}
	}
	return nil
}

// Write is for cobra, whose errors of output are then those of the app.
func (a *app) Write(text []byte) (int, error) { return len(text), a.print(string(text)) }

// finish reports err, and returns the exit code for it.
func (a *app) finish(ctx context.Context, cmd *cobra.Command, err error) int {
	if err == nil {
		return 0
	}
	interrupted, wasInterrupted := errors.AsType[interruption](context.Cause(ctx))
	if code, ok := errors.AsType[exitError](err); ok {
		if code == exitFailed && wasInterrupted {
			return interrupted.code()
		}
		return int(code)
	}
	output, isOutput := errors.AsType[*outputError](err)
	text, code := explain(err), exitFailed
	timedOut := errors.Is(cmd.Context().Err(), context.DeadlineExceeded)
	if timedOut {
		text = fmt.Sprintf("--timeout %v is over: %s", a.timeout, text)
	}
	switch {
	case errors.As(err, new(*leftError)):
		code = exitLookInto
	case isOutput && err.Error() == output.Error() && errors.Is(output, syscall.EPIPE): // nobody reads; nothing else failed
		return exitFailed
	case wasInterrupted && errors.As(err, new(*rotate.Error)): // which says how far it got
		text, code = interrupted.Error()+": "+text, interrupted.code()
	case wasInterrupted:
		text, code = interrupted.Error(), interrupted.code()
	case isOutput, timedOut: // no matter how the program is called
	case !a.started, errors.As(err, new(*usageError)), errors.Is(err, fastly.ErrInvalidArgument):
		text += "; see " + strings.TrimSuffix(cmd.CommandPath(), " help") + " --help"
		code = exitUsage
	}
	a.say("%s", text)
	return code
}

// exitError ends the program without a message.
type exitError int

func (c exitError) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// usageError is a mistake in how the program was called.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// leftError means that something exists that needs looking into.
type leftError struct{ error }

func (e *leftError) Unwrap() error { return e.error }

// outputError means that stdout can't be written: a connection may break with the same errors.
type outputError struct{ error }

func (e *outputError) Unwrap() error { return e.error }

// interruption is the cause of the context's end after a signal.
type interruption struct{ sig os.Signal }

func (i interruption) Error() string {
	if i.sig == os.Interrupt {
		return "interrupted"
	}
	return "ended by signal: " + i.sig.String()
}

func (i interruption) code() int {
	return exitSignaled + int(i.sig.(syscall.Signal)) // as all of them are
}

var packageNames = regexp.MustCompile(`(?m)(^|[:;] )((rotate|fastly): )+`) // in errors

// explain returns the text of err in one line, and which flags or commands help.
func explain(err error) string {
	text := packageNames.ReplaceAllString(err.Error(), "$1")
	if errors.As(err, new(*rotate.Error)) { // which has another word for the file
		text = strings.NewReplacer("the journal", "the state file", "another journal", "another --state file").Replace(text)
	}
	lines := strings.Split(text, "\n") // one for each of several errors
	if hint := hintFor(err); hint != "" {
		lines = append(lines, hint)
	}
	return escape(strings.Join(lines, "; "))
}

func hintFor(err error) string {
	switch {
	case errors.Is(err, fastly.ErrOTPRequired):
		return "use --otp-file or --totp-secret-file"
	case errors.Is(err, fastly.ErrSudoRequired):
		return "use --username and --password-file"
	case errors.Is(err, rotate.ErrLocked):
		return "wait until the other run ends, then run this again"
	case leaves(err):
		return "look for it with fastly-token list, and revoke it with fastly-token revoke"
	}
	return ""
}
