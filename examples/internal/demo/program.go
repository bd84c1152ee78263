// Package demo holds what the example programs share: how they start and end, and
// the account that they use, real or made up.
package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// ExitError is an error that ends a program with this exit code, without a message.
type ExitError int

func (e ExitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// ErrUsage is matched by errors about how a program was called: exit code 2.
var ErrUsage = errors.New("usage")

// Usagef returns an error that matches [ErrUsage].
func Usagef(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUsage, fmt.Errorf(format, args...))
}

// Parse parses the flags of a program, and rejects other arguments unless more is
// set. It rejects empty flags: to ignore one that a script sets from an unset
// variable would widen the token. The error of -h is [flag.ErrHelp].
func Parse(fs *flag.FlagSet, args []string, stderr io.Writer, more bool) error {
	fs.SetOutput(stderr)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return ExitError(2) // the flag set has said why
	case fs.NArg() > 0 && !more:
		return Usagef("unexpected argument %q", fs.Arg(0))
	}
	var err error
	fs.Visit(func(f *flag.Flag) {
		if strings.Trim(f.Value.String(), " ,") == "" {
			err = Usagef("-%s is empty", f.Name)
		}
	})
	return err
}

// Main runs a program and exits: with code 0, 1 after an error, 2 if that is
// [ErrUsage], 130 after Ctrl-C. A signal, or a closed pipe on the output, ends the
// context, so that the program can clean up; a second signal ends the process.
func Main(name string, run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	context.AfterFunc(ctx, func() {
		// Writing to the closed pipe must not end the process during the clean-up.
		signal.Ignore(syscall.SIGPIPE)
		stop()
	})
	os.Exit(Report(ctx, os.Stderr, name, run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)))
}

// Report prints err in one line, and returns the exit code for it.
func Report(ctx context.Context, stderr io.Writer, name string, err error) int {
	var exit ExitError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &exit):
		return int(exit)
	}
	_, _ = fmt.Fprintf(stderr, "%s: %v\n", name, err)
	switch {
	case errors.Is(err, ErrUsage):
		return 2
	case ctx.Err() != nil:
		return 130
	}
	return 1
}
