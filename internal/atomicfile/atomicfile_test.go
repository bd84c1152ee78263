package atomicfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly/internal/atomicfile"
)

var disk atomicfile.Disk

// names returns the names in a directory.
func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// write makes a file of the given mode, whatever the umask.
func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	require.NoError(t, os.Chmod(path, mode))
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func TestReplaceMakesAPrivateFileOrReplacesOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	for _, want := range []string{"one", "another"} {
		note, err := disk.Check(path)
		require.NoError(t, err)
		assert.Empty(t, note)
		replaced, err := disk.Replace(path, []byte(want))
		require.NoError(t, err)
		assert.True(t, replaced)
		assert.Equal(t, want, content(t, path))
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode())
		assert.Equal(t, []string{"token"}, names(t, dir))
	}
}

func TestCheckChangesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	_, err := disk.Check(path)
	require.NoError(t, err)
	assert.Empty(t, names(t, dir))
	write(t, path, "old", 0o640)
	before, err := os.Lstat(path)
	require.NoError(t, err)

	_, err = disk.Check(path)

	require.NoError(t, err)
	after, err := os.Lstat(path)
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after))
	assert.Equal(t, before.Mode(), after.Mode())
	assert.Equal(t, before.ModTime(), after.ModTime())
	assert.Equal(t, "old", content(t, path))
	assert.Equal(t, []string{"token"}, names(t, dir))
}

func TestWhatIsNoFileIsNeitherReadNorReplaced(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(path string) error{
		"a directory":         func(path string) error { return os.Mkdir(path, 0o700) },
		"a symbolic link":     func(path string) error { return os.Symlink(path+".target", path) },
		"a missing directory": func(string) error { return nil },
		"a file as directory": func(path string) error { return os.WriteFile(filepath.Dir(path), nil, 0o600) },
		"a name too long":     func(string) error { return nil },
		"a trailing slash":    func(string) error { return nil },
		"no path":             func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "token")
			switch name {
			case "a missing directory", "a file as directory":
				path = filepath.Join(dir, "below", "token")
			case "a name too long":
				path = filepath.Join(dir, strings.Repeat("x", 256))
			case "a trailing slash":
				path += "/"
			case "no path":
				path = ""
			}
			require.NoError(t, prepare(path))
			before := names(t, dir)

			_, checkErr := disk.Check(path)
			replaced, replaceErr := disk.Replace(path, []byte("new"))
			_, readErr := disk.Read(path, 100)
			_, trustedErr := disk.ReadTrusted(path, 100)

			assert.Error(t, checkErr)
			assert.Error(t, replaceErr)
			assert.False(t, replaced)
			assert.Error(t, readErr)
			assert.Error(t, trustedErr)
			assert.Equal(t, before, names(t, dir))
		})
	}
}

func TestReadIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	text, err := disk.Read(path, 3)
	require.NoError(t, err, "no file should be no error")
	assert.Nil(t, text)
	write(t, path, "one", 0o600)
	text, err = disk.Read(path, 3)
	require.NoError(t, err)
	assert.Equal(t, "one", string(text))
	_, err = disk.Read(path, 2)
	assert.ErrorContains(t, err, "too long")
}

func TestLongestNameCanBeReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one := strings.Repeat("ö", 127) + "1"
	two := strings.Repeat("ö", 127) + "2"
	for _, name := range []string{one, two, one} {
		path := filepath.Join(dir, name)
		_, err := disk.Check(path)
		require.NoError(t, err)
		_, err = disk.Replace(path, []byte(name))
		require.NoError(t, err)
		assert.Equal(t, name, content(t, path))
	}
	assert.Equal(t, []string{one, two}, names(t, dir))
}

func TestReplaceSaysWhetherItDid(t *testing.T) {
	t.Parallel()
	for operation, want := range map[string]bool{
		"clear": false, "create": false, "keep": false, "write": false, "sync": false, "rename": false, "sync directory": true,
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "token")
		write(t, path, "old", 0o600)
		broken := atomicfile.Disk{Fault: func(op string) error {
			if op == operation {
				return errors.New("no such luck")
			}
			return nil
		}}
		if operation != "rename" {
			_, err := broken.Check(path)
			assert.ErrorContains(t, err, "no such luck", operation)
		}

		replaced, err := broken.Replace(path, []byte("new"))

		assert.ErrorContains(t, err, "no such luck", operation)
		assert.Equal(t, want, replaced, operation)
		assert.Equal(t, want, content(t, path) == "new", operation)
		assert.Equal(t, []string{"token"}, names(t, dir), operation)
	}
}

func TestRenameThatSucceededWithAnErrorReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	broken := atomicfile.Disk{Fault: func(op string) error {
		if op != "rename" {
			return nil
		}
		temporary := names(t, dir)
		require.Len(t, temporary, 1)
		require.NoError(t, os.Rename(filepath.Join(dir, temporary[0]), path))
		return errors.New("no response from the file server")
	}}

	replaced, err := broken.Replace(path, []byte("new"))

	assert.Error(t, err)
	assert.True(t, replaced)
}

func TestTwoAtOnceKeepTheirTemporaryFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	slow := atomicfile.Disk{Fault: func(op string) error {
		if op != "rename" {
			return nil
		}
		_, err := disk.Check(path)
		require.NoError(t, err)
		replaced, err := disk.Replace(path, []byte("fast"))
		require.NoError(t, err)
		require.True(t, replaced)
		assert.Equal(t, "fast", content(t, path))
		return nil
	}}

	replaced, err := slow.Replace(path, []byte("slow"))

	require.NoError(t, err)
	assert.True(t, replaced)
	assert.Equal(t, "slow", content(t, path))
	assert.Equal(t, []string{"token"}, names(t, dir))
}

func TestManyAtOnceAllSucceed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 20 {
				replaced, err := disk.Replace(path, fmt.Appendf(nil, "%d of %d", j, i))
				assert.NoError(t, err)
				assert.True(t, replaced)
			}
		})
	}
	all.Wait()
	assert.Regexp(t, `^19 of \d$`, content(t, path))
	assert.Equal(t, []string{"token"}, names(t, dir))
}

func TestCrashLeavesTheOldFileAndNoTokenForLong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	write(t, path, "old", 0o600)
	write(t, filepath.Join(dir, ".token.new-mine"), "somebody's", 0o600)
	crashing := atomicfile.Disk{Fault: func(op string) error {
		if op == "rename" {
			panic("crash")
		}
		return nil
	}}
	require.Panics(t, func() { _, _ = crashing.Replace(path, []byte("new")) })
	assert.Equal(t, "old", content(t, path))
	require.Len(t, names(t, dir), 3)

	// A process that another test is starting may still have the lock of the file.
	assert.Eventually(t, func() bool {
		_, err := disk.Check(path)
		require.NoError(t, err)
		return slices.Equal([]string{".token.new-mine", "token"}, names(t, dir))
	}, time.Minute, 10*time.Millisecond)
}

func TestCreateReplacesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	created, err := disk.Create(path, []byte("one"))
	require.NoError(t, err)
	assert.True(t, created)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	require.NoError(t, os.Symlink(filepath.Join(dir, "target"), filepath.Join(dir, "link")))
	for _, name := range []string{"token", "link"} {
		created, err = disk.Create(filepath.Join(dir, name), []byte("another"))
		assert.ErrorIs(t, err, os.ErrExist)
		assert.False(t, created)
	}
	assert.Equal(t, "one", content(t, path))
	assert.Equal(t, []string{"link", "token"}, names(t, dir))
}

func TestCreateSaysWhetherItDid(t *testing.T) {
	t.Parallel()
	for operation, want := range map[string]bool{"create": false, "write": false, "sync": false, "sync directory": true} {
		path := filepath.Join(t.TempDir(), "token")
		broken := atomicfile.Disk{Fault: func(op string) error {
			if op == operation {
				return errors.New("no such luck")
			}
			return nil
		}}

		created, err := broken.Create(path, []byte("new"))

		assert.ErrorContains(t, err, "no such luck", operation)
		assert.Equal(t, want, created, operation)
		_, err = os.Stat(path)
		assert.Equal(t, want, err == nil, operation)
	}
}

func TestRemoveOfNoFileIsNoError(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, disk.Remove(path))
	write(t, path, "old", 0o600)
	require.NoError(t, disk.Remove(path))
	assert.NoFileExists(t, path)
}

func TestNewDirectoriesAreSyncedWithTheirParents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var ops []string
	watched := atomicfile.Disk{Fault: func(op string) error { ops = append(ops, op); return nil }}
	require.NoError(t, watched.MkdirAll(dir))
	assert.NotContains(t, ops, "sync directory", "the directory exists")

	ops = nil
	path := filepath.Join(dir, "one", "two", "three")
	require.NoError(t, watched.MkdirAll(path))

	want := append([]string{"create directory"}, slices.Repeat([]string{"sync directory"}, 4)...)
	assert.Equal(t, want, ops, "want each new directory and the first one's parent")
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.ModeDir|0o700, info.Mode())

	write(t, filepath.Join(path, "file"), "", 0o600)
	assert.Error(t, disk.MkdirAll(filepath.Join(path, "file")))
	assert.Error(t, disk.MkdirAll(filepath.Join(path, "file", "below")))
}
