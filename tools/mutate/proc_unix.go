//go:build linux || darwin

package main

import (
	"os/exec"
	"syscall"
)

// isolate makes the end of cmd kill every process that cmd started.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// limitMemory makes a mutant that allocates without end fail before the machine
// does, where the system supports that.
func limitMemory() {
	const limit = 8 << 30
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &now); err == nil && now.Cur > limit {
		_ = syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: now.Max})
	}
}
