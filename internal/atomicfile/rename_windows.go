package atomicfile

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// errSharingViolation is ERROR_SHARING_VIOLATION: another process has the file open.
const errSharingViolation = syscall.Errno(32)

// checkRename returns an error if the file at path has the read-only attribute.
func checkRename(path, _ string) error {
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&0o200 == 0 {
		err = errors.New("it is read-only")
	}
	return err
}

// rename closes f and renames it. It waits for up to two seconds for readers of the file at path:
// while one has it open, it can't be replaced.
func rename(f *os.File, path string) error {
	if err := f.Close(); err != nil {
		return err
	}
	for pause := 2 * time.Millisecond; ; pause *= 2 {
		err := os.Rename(f.Name(), path)
		met := errors.Is(err, errSharingViolation) || errors.Is(err, syscall.ERROR_ACCESS_DENIED)
		if !met || pause > time.Second {
			return err
		}
		time.Sleep(pause)
	}
}
