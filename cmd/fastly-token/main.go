// Fastly-token looks at, makes, watches, rotates and revokes the API tokens of a
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
		// What is ignored from the start (by nohup, say) stays ignored.
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
	// An output that nobody reads any more must not end the program before it
	// has cleaned up. Unlike an ignored signal, this one is not passed down to
	// the commands that it starts.
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
