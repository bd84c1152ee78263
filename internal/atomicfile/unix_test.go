//go:build unix && !aix

package atomicfile_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const somebody = 4242 // a user, and a group, of no consequence

// owner returns the user and the group of a file.
func owner(t *testing.T, path string) (uid, gid uint32) {
	t.Helper()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	stat, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	return stat.Uid, stat.Gid
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
}

func TestModeIsKeptWithoutAccessByOthers(t *testing.T) {
	t.Parallel()
	for mode, want := range map[os.FileMode]struct {
		mode os.FileMode
		note string
	}{
		0o600: {0o600, ""},
		0o400: {0o400, ""},
		0o640: {0o640, ""},
		0o660: {0o660, ""},
		0o644: {0o640, " has mode 0644; the new file gets 0640, without access by others"},
		0o777: {0o770, " has mode 0777; the new file gets 0770, without access by others"},
	} {
		path := filepath.Join(t.TempDir(), "token")
		write(t, path, "old", mode)

		note, err := disk.Check(path)
		require.NoError(t, err)
		_, err = disk.Replace(path, []byte("new"))

		require.NoError(t, err)
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, want.mode, info.Mode(), mode)
		if want.note == "" {
			assert.Empty(t, note, mode)
		} else {
			assert.Equal(t, path+want.note, note, mode)
		}
	}
}

func TestOwnerAndGroupAreKept(t *testing.T) {
	t.Parallel()
	needRoot(t)
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, "old", 0o640)
	require.NoError(t, os.Chown(path, somebody, somebody))

	_, err := disk.Replace(path, []byte("new"))

	require.NoError(t, err)
	uid, gid := owner(t, path)
	assert.Equal(t, []uint32{somebody, somebody}, []uint32{uid, gid})
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode())
}

func TestFIFOIsNoFileAndBlocksNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, syscall.Mkfifo(path, 0o600))

	_, err := disk.Check(path)
	assert.ErrorContains(t, err, "is not a regular file")
	_, err = disk.Replace(path, []byte("new"))
	assert.ErrorContains(t, err, "is not a regular file")
	_, err = disk.Read(path, 100)
	assert.ErrorContains(t, err, "is not a regular file")
}

func TestOnlyAFileThatNobodyElseCouldWriteIsTrusted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "record")
	for mode, want := range map[os.FileMode]string{
		0o600: "", 0o444: "", 0o644: "",
		0o620: "other users may write to it (mode 0620)",
		0o602: "other users may write to it (mode 0602)",
	} {
		write(t, path, "a record", mode)
		text, err := disk.ReadTrusted(path, 100)
		if want == "" {
			require.NoError(t, err)
			assert.Equal(t, "a record", string(text))
		} else {
			assert.EqualError(t, err, path+" can't be trusted: "+want)
			assert.Empty(t, text)
		}
	}
	link := path + ".link"
	require.NoError(t, os.Symlink(path, link))
	_, err := disk.ReadTrusted(link, 100)
	assert.ErrorContains(t, err, "is not a regular file")
}

func TestFileOfAnotherUserIsNotTrusted(t *testing.T) {
	t.Parallel()
	needRoot(t)
	path := filepath.Join(t.TempDir(), "record")
	write(t, path, "a record", 0o600)
	require.NoError(t, os.Chown(path, somebody, 0))

	_, err := disk.ReadTrusted(path, 100)

	assert.ErrorContains(t, err, "it belongs to another user, 4242")
	text, err := disk.Read(path, 100)
	require.NoError(t, err)
	assert.Equal(t, "a record", string(text))
}
