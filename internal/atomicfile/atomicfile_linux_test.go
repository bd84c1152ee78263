package atomicfile_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mountVar names a file that the test binary makes a mount point before it checks and replaces it.
const mountVar = "ATOMICFILE_TEST_MOUNT"

func TestMain(m *testing.M) {
	if path := os.Getenv(mountVar); path != "" {
		if err := syscall.Mount(path, path, "", syscall.MS_BIND, ""); err != nil {
			fmt.Println("skip:", err)
			return
		}
		_, checkErr := disk.Check(path)
		replaced, replaceErr := disk.Replace(path, []byte("new"))
		fmt.Println(checkErr)
		fmt.Println(replaced, replaceErr != nil)
		return
	}
	os.Exit(m.Run())
}

func TestMountPointIsFoundBefore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	write(t, path, "old", 0o600)
	process := exec.Command(os.Args[0]) // #nosec G204 G702 -- the test itself
	process.Env = append(os.Environ(), mountVar+"="+path)
	process.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := process.CombinedOutput()
	if err != nil || string(out[:min(4, len(out))]) == "skip" {
		t.Skipf("no mounts here: %v: %s", err, out)
	}
	assert.Equal(t, path+" can't be replaced: it is a mount point: mount its directory instead\nfalse true\n", string(out))
	assert.Equal(t, []string{"token"}, names(t, dir))
	assert.Equal(t, "old", content(t, path))
}

// openDir returns a temporary directory that every user can enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Dir(dir)} {
		require.NoError(t, os.Chmod(path, 0o755)) // #nosec G302 -- that is the point
	}
	return dir
}

// asSomebody runs f as a user without privileges, as far as files are concerned.
func asSomebody(t *testing.T, f func()) {
	t.Helper()
	needRoot(t)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := syscall.Setfsgid(somebody)
		if err == nil {
			err = syscall.Setfsuid(somebody)
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	require.NoError(t, <-done)
}

func TestFileThatWouldChangeItsOwnerIsNotReplaced(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := openDir(t)
	path := filepath.Join(dir, "token")
	write(t, path, "old", 0o600)
	require.NoError(t, os.Chown(dir, somebody, somebody))
	asSomebody(t, func() {
		_, err := disk.Check(path)
		assert.ErrorContains(t, err, "a new file can't have the access rights of "+path)
		assert.ErrorIs(t, err, os.ErrPermission)
		replaced, err := disk.Replace(path, []byte("new"))
		assert.ErrorIs(t, err, os.ErrPermission)
		assert.False(t, replaced)
	})
	assert.Equal(t, "old", content(t, path))
	assert.Equal(t, []string{"token"}, names(t, dir))
}

func TestDirectoryThatCannotBeWrittenIsFoundBefore(t *testing.T) {
	t.Parallel()
	needRoot(t)
	path := filepath.Join(openDir(t), "token")
	asSomebody(t, func() {
		_, err := disk.Check(path)
		assert.ErrorIs(t, err, os.ErrPermission)
		_, err = disk.Create(path, nil)
		assert.ErrorIs(t, err, os.ErrPermission)
	})
}

func TestImmutableFileIsFoundBefore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, "old", 0o600)
	f, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	const getFlags, setFlags, immutable = 0x80086601, 0x40086602, 0x10
	var flags int
	ioctl := func(request uintptr) syscall.Errno {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(&flags))) // #nosec G103
		return errno
	}
	if errno := ioctl(getFlags); errno != 0 {
		t.Skip("the file system has no flags: ", errno)
	}
	flags |= immutable
	if errno := ioctl(setFlags); errno != 0 {
		t.Skip("no privilege to set flags: ", errno)
	}
	defer func() {
		flags &^= immutable
		assert.Zero(t, ioctl(setFlags))
	}()

	_, err = disk.Check(path)

	assert.ErrorContains(t, err, path+" can't be replaced")
	assert.ErrorIs(t, err, os.ErrPermission)
}

func TestAccessControlListIsKept(t *testing.T) {
	t.Parallel()
	const name, defaults = "system.posix_acl_access", "system.posix_acl_default"
	// user::rw- user:4242:r-- group::--- mask::r-- other::---
	list := func(group byte) string {
		return "\x02\x00\x00\x00" +
			"\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\x92\x10\x00\x00" +
			"\x04\x00" + string(group) + "\x00\xff\xff\xff\xff" + "\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	write(t, path, "old", 0o600)
	if err := syscall.Setxattr(path, name, []byte(list(0)), 0); err != nil {
		t.Skip("the file system has no access control lists: ", err)
	}
	info, err := os.Stat(path)
	require.NoError(t, err)

	_, err = disk.Replace(path, []byte("new"))

	require.NoError(t, err)
	got := make([]byte, 1000)
	n, err := syscall.Getxattr(path, name, got)
	require.NoError(t, err)
	assert.Equal(t, list(0), string(got[:n]))
	after, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, info.Mode(), after.Mode())

	// What the directory would give to a new file is not for one that replaces another.
	require.NoError(t, syscall.Setxattr(dir, defaults, []byte(list(4)), 0))
	plain := filepath.Join(dir, "plain")
	write(t, plain, "old", 0o640)
	require.NoError(t, syscall.Removexattr(plain, name))
	require.NoError(t, os.Chmod(plain, 0o640))
	_, err = disk.Replace(plain, []byte("new"))
	require.NoError(t, err)
	_, err = syscall.Getxattr(plain, name, got)
	assert.ErrorIs(t, err, syscall.ENODATA)
}
