//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package rotate

import (
	"errors"
	"os"
	"syscall"
)

// lockFile locks the file at path, which it creates, until unlock or the end of
// the process.
func lockFile(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- the caller says where
	if err != nil {
		return nil, err
	}
	fd := int(f.Fd()) // #nosec G115 -- a file descriptor is an int
	if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, also(err, f.Close())
	}
	// Closing is not enough: a child process that is being started has the file
	// open, and holds the lock, until it executes its program.
	return func() error { return also(syscall.Flock(fd, syscall.LOCK_UN), f.Close()) }, nil
}
