//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Lock creates the file at path, which must not exist, and unlock removes it.
// After a crash it stays, which is better than two runs at once.
func Lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // #nosec G304 -- the caller says where
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w; if it crashed, remove that file", lockedError(path))
	}
	if err != nil {
		return nil, err
	}
	return func() error { return also(f.Close(), os.Remove(path)) }, nil
}
