//go:build unix

package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

const hasModes = true

// open opens a file to read it. It follows no symbolic link and does not wait for the writer of a
// FIFO.
func open(path string) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	return os.OpenFile(path, flags, 0) // #nosec G304 -- the caller says where
}

// checkTrusted returns an error if users other than this one and root could have written the file.
func checkTrusted(info fs.FileInfo) error {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("its owner is not known")
	}
	if owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to another user, %d", owner.Uid)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("other users may write to it (mode %04o)", mode)
	}
	return nil
}

// keepAccess gives f the owner, the access control list and the mode of the file at path, but no
// access by others. The mode comes last: it also bounds what a list allows.
func keepAccess(f *os.File, path string, old fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	is, ok := info.Sys().(*syscall.Stat_t)
	want, wantOK := old.Sys().(*syscall.Stat_t)
	if !ok || !wantOK {
		return errors.New("their owner is not known")
	}
	if is.Uid != want.Uid || is.Gid != want.Gid {
		if err := f.Chown(int(want.Uid), int(want.Gid)); err != nil {
			return err
		}
	}
	if err := copyACL(path, f.Name()); err != nil {
		return err
	}
	return f.Chmod(old.Mode().Perm() &^ others)
}

// checkRename returns an error if a rename can't replace the file at path, as far as can be told
// without one. temporary is the path of no file.
func checkRename(path, temporary string) error {
	// Permission to remove the file is checked before its type.
	if err := syscall.Rmdir(path); err != nil && !errors.Is(err, syscall.ENOTDIR) {
		return err
	}
	// A mount point can't have a link outside of its mount.
	err := syscall.Link(path, temporary)
	if err == nil {
		return os.Remove(temporary)
	}
	if errors.Is(err, syscall.EXDEV) {
		return errors.New("it is a mount point: mount its directory instead")
	}
	return nil // not every file system has links
}

// syncDir makes a rename or a removal survive a crash of the machine.
func syncDir(dir string) error {
	d, err := os.Open(dir) // #nosec G304 -- the caller says where
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // the file system has no such thing
	}
	return also(err, d.Close())
}

func rename(f *os.File, path string) error { return os.Rename(f.Name(), path) }
