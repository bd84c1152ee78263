// Fastly-token shows, creates, audits, rotates and revokes the API tokens of a Fastly account:
//
//	go install github.com/fastly-tokens/fastly/cmd/fastly-token@latest
//	fastly-token help
package main

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/fastly-tokens/fastly/internal/clock"
	"github.com/fastly-tokens/fastly/internal/secretfile"
)

func main() {
	signals := make(chan os.Signal, 16)
	for _, sig := range slices.Concat(endingSignals, otherSignals) {
		// A signal that is ignored from the start (by nohup, say) stays ignored.
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
	// A SIGPIPE must not end the program before it has cleaned up. If it were ignored instead, the
	// commands that the program starts would ignore it, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	a := &app{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		environ: os.Environ(), now: time.Now, sleep: clock.Sleep,
		signals: signals, exit: os.Exit, keysSignal: hasTerminal, readFile: secretfile.ReadRegular,
	}
	os.Exit(a.run(os.Args[1:]))
}

// hasTerminal reports whether there is a terminal whose keys send signals.
func hasTerminal() bool {
	tty, err := os.Open("/dev/tty")
	return err == nil && tty.Close() == nil
}
