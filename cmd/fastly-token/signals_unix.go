//go:build unix

package main

import (
	"os"
	"syscall"
)

// endingSignals end a process that does not handle them.
var endingSignals = []os.Signal{
	os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
}

// otherSignals don't. A command gets them, too: some servers end gracefully on a SIGWINCH, for
// example.
var otherSignals = []os.Signal{syscall.SIGWINCH, syscall.SIGCONT, syscall.SIGTSTP}

// stopsOn stops this process if the signal is that of Ctrl-Z, which otherwise would do it: the
// shell waits for that.
func stopsOn(sig os.Signal) {
	if sig == syscall.SIGTSTP {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) // always allowed
	}
}
