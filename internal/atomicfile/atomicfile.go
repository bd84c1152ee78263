// Package atomicfile reads and replaces files that hold access tokens, or what is known of tokens.
package atomicfile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// others are the permissions of users who are neither the owner nor in the group.
const others = 0o007

// Disk is the file system. The zero value is ready to use. In tests, Fault is called before each
// operation, and its error is that of the operation.
type Disk struct{ Fault func(operation string) error }

func (d Disk) do(operation string, f func() error) error {
	if d.Fault != nil {
		if err := d.Fault(operation); err != nil {
			return err
		}
	}
	return f()
}

// Check finds out whether [Disk.Replace] can replace the file at path, or create it. It does what
// Replace does except for the rename, for which it looks for the known obstacles: a file that
// is immutable or a mount point. The note, unless empty, says what the new file will not have
// of the old one.
func (d Disk) Check(path string) (note string, err error) {
	f, old, err := d.temporary(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // in a panic
	err = d.fill(f, path, old, make([]byte, 64))
	if err := also(err, discard(f)); err != nil {
		return "", err
	}
	if old != nil {
		if err := checkRename(path, f.Name()); err != nil {
			return "", fmt.Errorf("%s can't be replaced: %w", path, err)
		}
		if hasModes && old.Mode()&others != 0 {
			mode := old.Mode().Perm()
			note = fmt.Sprintf("%s has mode %04o; the new file gets %04o, without access by others", path, mode, mode&^others)
		}
	}
	return note, d.do("sync directory", func() error { return syncDir(filepath.Dir(path)) })
}

// Replace replaces the file at path, or creates it with mode 0600. Readers see the old file or the
// new one, whole, even after a crash of the machine. Where there are owners and modes, the new file
// keeps those of the old one, and on Linux its access control list; but others lose their access. If
// that is not possible, or the old one is no regular file, nothing is replaced.
//
// replaced says whether the file was replaced. Together with an error, a crash of the machine may
// undo that.
func (d Disk) Replace(path string, content []byte) (replaced bool, err error) {
	f, old, err := d.temporary(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // it is synced
	if err := d.fill(f, path, old, content); err != nil {
		return false, also(err, discard(f))
	}
	err = d.do("rename", func() error { return rename(f, path) })
	if err == nil {
		return true, d.do("sync directory", func() error { return syncDir(filepath.Dir(path)) })
	}
	removeErr := discard(f)
	if errors.Is(removeErr, fs.ErrNotExist) {
		return true, err // a network file system may rename and fail
	}
	return false, also(err, removeErr)
}

// Create writes a new file with mode 0600. It is an error if there is anything at path. created
// says whether the file is there; together with an error, a crash of the machine may undo that.
func (d Disk) Create(path string, content []byte) (created bool, err error) {
	var f *os.File
	err = d.do("create", func() (err error) {
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // #nosec G304 -- the caller says where
		return err
	})
	if err != nil {
		return false, err
	}
	if err := d.write(f, content); err != nil {
		removeErr := discard(f)
		return removeErr != nil, also(err, removeErr)
	}
	if err := f.Close(); err != nil {
		return true, err
	}
	return true, d.do("sync directory", func() error { return syncDir(filepath.Dir(path)) })
}

// Read returns the content of the file at path, or nil if its directory has no such file. It is an
// error if there is anything but a regular file of at most limit bytes.
func (d Disk) Read(path string, limit int64) ([]byte, error) {
	return d.read(path, limit, func(fs.FileInfo) error { return nil })
}

// ReadTrusted is like [Disk.Read], for a file whose content is acted on. Where there are owners and
// modes, it is an error if the file belongs to neither this user nor root, or if anyone else can
// write to it, its group included.
func (d Disk) ReadTrusted(path string, limit int64) ([]byte, error) {
	return d.read(path, limit, checkTrusted)
}

func (d Disk) read(path string, limit int64, check func(fs.FileInfo) error) (content []byte, err error) {
	err = d.do("read", func() error {
		info, err := lookUp(path)
		if err != nil {
			return err
		}
		if info == nil {
			_, err := os.Stat(filepath.Dir(path))
			return err
		}
		f, err := open(path) // it may be another file by now
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // only read
		if info, err = f.Stat(); err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file", path)
		}
		if err := check(info); err != nil {
			return fmt.Errorf("%s can't be trusted: %w", path, err)
		}
		content, err = io.ReadAll(io.LimitReader(f, limit+1))
		if err == nil && int64(len(content)) > limit {
			content, err = nil, fmt.Errorf("%s is too long: more than %d bytes", path, limit)
		}
		return err
	})
	return content, err
}

// Remove removes the file at path, if there is one.
func (d Disk) Remove(path string) error {
	err := d.do("remove", func() error { return os.Remove(path) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.do("sync directory", func() error { return syncDir(filepath.Dir(path)) })
}

// MkdirAll creates a directory and its missing parents with mode 0700, so that they survive a crash
// of the machine.
func (d Disk) MkdirAll(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	changed := []string{dir}
	for top := dir; isMissing(top) && filepath.Dir(top) != top; {
		top = filepath.Dir(top)
		changed = append(changed, top)
	}
	if err := d.do("create directory", func() error { return os.MkdirAll(dir, 0o700) }); err != nil {
		return err
	}
	if len(changed) == 1 {
		return nil // it was there
	}
	for _, dir := range changed {
		err = also(err, d.do("sync directory", func() error { return syncDir(dir) }))
	}
	return err
}

func isMissing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// temporary creates the file that is to replace the one at path. old describes that one; it is nil
// if there is none.
func (d Disk) temporary(path string) (f *os.File, old fs.FileInfo, err error) {
	if old, err = lookUp(path); err != nil {
		return nil, nil, err
	}
	dir, prefix := filepath.Dir(path), temporaryPrefix(path)
	if err := d.do("clear", func() error { return clearStale(dir, prefix) }); err != nil {
		return nil, nil, err
	}
	err = d.do("create", func() (err error) {
		f, err = createLocked(dir, prefix)
		return err
	})
	return f, old, err
}

// fill gives f the owner, the mode and the access control list of the file at path, unless old is
// nil, and the content.
func (d Disk) fill(f *os.File, path string, old fs.FileInfo, content []byte) error {
	if old != nil {
		if err := d.do("keep", func() error { return keepAccess(f, path, old) }); err != nil {
			return fmt.Errorf("a new file can't have the access rights of %s: %w", path, err)
		}
	}
	return d.write(f, content)
}

func (d Disk) write(f *os.File, content []byte) error {
	if err := d.do("write", func() error { _, err := f.Write(content); return err }); err != nil {
		return err
	}
	return d.do("sync", f.Sync)
}

// lookUp describes the file at path, nil if there is none. It is an error if path is, or can only
// be, anything other than a regular file.
func lookUp(path string) (fs.FileInfo, error) {
	if path == "" || os.IsPathSeparator(path[len(path)-1]) {
		return nil, fmt.Errorf("%q is not the path of a file", path)
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	return info, err
}

// temporaryPrefix begins the names of the temporary files for path, which may be longer than path's
// own only if that one is short.
func temporaryPrefix(path string) string {
	const longest = 100 // of the 143 bytes that some encrypted file systems allow
	name := filepath.Base(path)
	if len(name) > longest {
		sum := sha256.Sum256([]byte(name))
		name = strings.ToValidUTF8(name[:longest-16], "") + hex.EncodeToString(sum[:8])
	}
	return "." + name + ".new-"
}

// createLocked creates a temporary file and locks it, where there are locks: clearStale leaves it
// alone, in whatever process.
func createLocked(dir, prefix string) (*os.File, error) {
	for {
		f, err := os.CreateTemp(dir, prefix+"*")
		if err != nil {
			return nil, err
		}
		if lock(f) {
			return f, nil
		}
		_ = f.Close() // another process took it for stale, and removes it
	}
}

// clearStale removes the temporary files that a crash left behind: they may hold access tokens.
func clearStale(dir, prefix string) error {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		number, ok := strings.CutPrefix(entry.Name(), prefix)
		if ok && number != "" && strings.Trim(number, "0123456789") == "" && entry.Type().IsRegular() {
			err = also(err, removeStale(filepath.Join(dir, entry.Name())))
		}
	}
	return err
}

// discard closes and removes a file.
func discard(f *os.File) error {
	_ = f.Close()
	return os.Remove(f.Name())
}

// ErrLocked is matched by an error of [Lock] if another process has the lock.
var ErrLocked = errors.New("another process has locked it")

func lockedError(path string) error { return fmt.Errorf("%s: %w", path, ErrLocked) }

// also joins errors in one line.
func also(err, more error) error {
	switch {
	case err == nil:
		return more
	case more == nil:
		return err
	}
	return fmt.Errorf("%w; then: %w", err, more)
}
