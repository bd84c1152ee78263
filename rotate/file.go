package rotate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// disk reads and replaces whole files. In tests, fault is called before each
// operation, and its error is that of the operation.
type disk struct{ fault func(operation string) error }

func (d disk) do(operation string, f func() error) error {
	if d.fault != nil {
		if err := d.fault(operation); err != nil {
			return err
		}
	}
	return f()
}

// read returns the file's content, or nil if its directory has no such file.
// Anything other than a regular file of at most limit bytes is an error.
func (d disk) read(path string, limit int64) (text []byte, err error) {
	err = d.do("read", func() error {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			_, err := os.Stat(filepath.Dir(path))
			return err
		}
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file", path)
		}
		if info.Size() > limit {
			return fmt.Errorf("%s is too long: more than %d bytes", path, limit)
		}
		text, err = os.ReadFile(path) // #nosec G304 -- the caller says where
		return err
	})
	return text, err
}

// replace replaces the file at path with the content, in mode 0600, whole
// or not at all. replaced says whether it did; with an error, a crash of the
// machine may undo that.
func (d disk) replace(path string, content []byte) (replaced bool, err error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s is not a regular file", path)
	}
	dir := filepath.Dir(path)
	prefix := "." + filepath.Base(path) + ".rotate-"
	if err := d.do("clear", func() error { return removeAll(dir, prefix) }); err != nil {
		return false, err
	}
	var f *os.File
	if err := d.do("create", func() (err error) {
		f, err = os.CreateTemp(dir, prefix+"*")
		return err
	}); err != nil {
		return false, err
	}
	err = d.do("write", func() error { _, err := f.Write(content); return err })
	if err == nil {
		err = d.do("sync", f.Sync)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = d.do("rename", func() error { return os.Rename(f.Name(), path) })
	}
	if err == nil {
		return true, d.do("sync directory", func() error { return syncDir(dir) })
	}
	if removeErr := os.Remove(f.Name()); errors.Is(removeErr, fs.ErrNotExist) {
		return true, err // a network file system may rename and fail
	} else if removeErr != nil {
		err = fmt.Errorf("%w; then: %w", err, removeErr)
	}
	return false, err
}

// removeAll removes what replace left behind in a crash, which may hold a token.
func removeAll(dir, prefix string) error {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) {
			err = also(err, os.Remove(filepath.Join(dir, entry.Name())))
		}
	}
	return err
}

// remove removes the file, if there is one.
func (d disk) remove(path string) error {
	err := d.do("remove", func() error { return os.Remove(path) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.do("sync directory", func() error { return syncDir(filepath.Dir(path)) })
}

// syncDir makes a rename or a removal survive a crash of the machine.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" || runtime.GOOS == "js" {
		return nil // directories can't be synced there
	}
	d, err := os.Open(dir) // #nosec G304 -- the caller says where
	if err != nil {
		return err
	}
	return also(d.Sync(), d.Close())
}
