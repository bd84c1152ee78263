//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// staleAfter is far more than a file takes to be written and renamed.
const staleAfter = 24 * time.Hour

func lock(*os.File) bool { return true }

// removeStale removes a temporary file that is too old to be in use.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil || time.Since(info.ModTime()) < staleAfter {
		return nil // it is gone, or may be in use
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
