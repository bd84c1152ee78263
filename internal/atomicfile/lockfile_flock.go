//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package atomicfile

import (
	"errors"
	"os"
	"syscall"
)

// Lock locks the file at path, which it creates, until unlock or the end of
// the process and of those that it has started. So the file is not opened with
// O_CLOEXEC: after a crash, a command may still be storing the token.
func Lock(path string) (unlock func() error, err error) {
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CREAT|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = lockedError(path)
		}
		return nil, also(err, syscall.Close(fd))
	}
	// Closing is not enough while such a process runs.
	return func() error { return also(syscall.Flock(fd, syscall.LOCK_UN), syscall.Close(fd)) }, nil
}
