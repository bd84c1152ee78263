package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes of the programs, unless one documents its own.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitInterrupted = 130 // Ctrl-C, as shells report it
)

// Main runs a program and exits with the code it returns. Its context ends with
// Ctrl-C, SIGTERM, or a pipe whose reader has gone, so that it can clean up; a
// second Ctrl-C ends the process at once.
func Main(run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	context.AfterFunc(ctx, func() {
		// A clean-up must not die of the report that nobody reads.
		signal.Ignore(syscall.SIGPIPE)
		stop()
	})
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Parse parses the arguments of a program that takes flags only. If it returns
// false the program is done, with the exit code: after -h, or after a mistake,
// which fs has reported to its output.
func Parse(fs *flag.FlagSet, args []string) (code int, ok bool) {
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return ExitOK, false
	case err != nil:
		return ExitUsage, false
	case fs.NArg() > 0:
		p := NewPrinter(fs.Output())
		p.Printf("%s: unexpected argument %q; -h shows the flags\n", fs.Name(), fs.Arg(0))
		return ExitUsage, false
	}
	return ExitOK, true
}

// Fail reports err in one line that starts with the program's name, and returns
// the exit code: [ExitInterrupted] if ctx has ended, else [ExitFailed].
func Fail(ctx context.Context, stderr io.Writer, program string, err error) int {
	NewPrinter(stderr).Printf("%s: %v\n", program, err)
	if ctx.Err() != nil {
		return ExitInterrupted
	}
	return ExitFailed
}

// Printer prints until a write fails, and remembers that, so that a program can
// look once, at its end, whether all of its output arrived.
type Printer struct {
	w   io.Writer
	err error
}

// NewPrinter returns a Printer that writes to w.
func NewPrinter(w io.Writer) *Printer { return &Printer{w: w} }

// Printf formats as [fmt.Printf] does.
func (p *Printer) Printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// Write implements [io.Writer].
func (p *Printer) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.w.Write(b)
	p.err = err
	return n, err
}

// Err returns the error of the first write that failed.
func (p *Printer) Err() error { return p.err }

// IsTerminal reports whether stream is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
