//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// lock locks a new temporary file until it is closed. It reports whether the file is still there.
// On a file system without locks, nothing is stale.
func lock(f *os.File) bool {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false
	}
	is, err := f.Stat()
	if err != nil {
		return true // a later operation fails, and says why
	}
	there, err := os.Lstat(f.Name())
	return err == nil && os.SameFile(is, there)
}

// removeStale removes a temporary file unless a process may still have it.
func removeStale(path string) error {
	f, err := open(path)
	if err != nil {
		return nil // it is gone, or another user's
	}
	defer func() { _ = f.Close() }() // only locked
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return nil // it is in use, or nobody can tell
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
