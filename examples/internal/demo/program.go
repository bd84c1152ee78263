package demo

import (
	"cmp"
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

// ErrNoCredentials is for a program that is told to do something real, and has
// no credentials: made-up tokens would pass for real ones.
var ErrNoCredentials = errors.New("there are no credentials: set FASTLY_API_TOKEN, or give -demo for made-up tokens")

// Usage is how a program is used.
type Usage struct {
	Name    string
	Purpose string // in one line
	// Synopsis is what follows the name, for each way to call it.
	Synopsis []string
	Codes    []string // each exit code, and what it means
	// Words are taken after the flags; without it they are a mistake.
	Words bool
	// Wrong is the exit code after a mistake; zero means ExitUsage.
	Wrong int
}

// Flags returns a flag set for [Usage.Parse].
func (u *Usage) Flags() *flag.FlagSet {
	fs := flag.NewFlagSet(u.Name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // Parse says what there is to say
	return fs
}

// Parse parses the arguments of a program. If it returns false the program is
// done, with the exit code: after -h, which shows on stdout how it is used, or
// after a mistake, which was reported in one line.
func (u *Usage) Parse(fs *flag.FlagSet, args []string, stdout, stderr io.Writer) (code int, ok bool) {
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		if u.help(fs, stdout) != nil {
			return u.wrong(), false
		}
		return ExitOK, false
	case err != nil:
		return u.Mistake(stderr, err), false
	case fs.NArg() > 0 && !u.Words:
		return u.Mistake(stderr, fmt.Errorf("unexpected argument %q", fs.Arg(0))), false
	}
	return ExitOK, true
}

// Mistake reports what is wrong with the arguments, in one line, and returns the
// exit code.
func (u *Usage) Mistake(stderr io.Writer, err error) int {
	hint := "; -h shows the flags"
	if errors.Is(err, ErrNoCredentials) {
		hint = ""
	}
	NewPrinter(stderr).Printf("%s: %s%s\n", u.Name, Text(err.Error()), hint)
	return u.wrong()
}

func (u *Usage) wrong() int { return cmp.Or(u.Wrong, ExitUsage) }

func (u *Usage) help(fs *flag.FlagSet, stdout io.Writer) error {
	p := NewPrinter(stdout)
	p.Printf("%s\n", u.Purpose)
	before := "\nusage:"
	for _, way := range u.Synopsis {
		p.Printf("%s %s %s\n", before, u.Name, way)
		before = "      "
	}
	p.Printf("\nFlags:\n")
	fs.SetOutput(p)
	fs.PrintDefaults()
	p.Printf("\nExit codes:\n")
	for _, code := range u.Codes {
		p.Printf("  %s\n", code)
	}
	return p.Err()
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
