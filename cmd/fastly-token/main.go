// Fastly-token shows, creates, audits, rotates and revokes the API tokens of a
// Fastly account:
//
//	go install github.com/fastly-tokens/fastly/cmd/fastly-token@latest
//	fastly-token help
//
// Its help, and a session of each command, are in docs/tool.md of the repository.
package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	signals := make(chan os.Signal, 16)
	caught := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}
	for _, sig := range caught {
		// A signal that is ignored from the start (by nohup, say) stays ignored.
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
	// A SIGPIPE must not end the program before it has cleaned up. If it were
	// ignored instead, the commands that the program starts would ignore it, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	a := &app{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		environ: os.Environ(), now: time.Now,
		signals: signals, resetSignals: func() { signal.Reset(caught...) },
		keysSignal: hasTerminal,
	}
	os.Exit(a.run(os.Args[1:]))
}

// hasTerminal reports whether there is a terminal whose keys send signals.
func hasTerminal() bool {
	tty, err := os.Open("/dev/tty")
	return err == nil && tty.Close() == nil
}
