package rotate_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly/rotate"
)

// lockVar names a journal that the test binary is to lock, until it is killed.
const lockVar = "ROTATE_TEST_LOCK"

func lockUntilKilled(path string) {
	if _, err := rotate.FileJournal(path).Lock(context.Background()); err != nil {
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString("locked\n") // its reader reports a failure
	_, _ = os.Stdin.Read(make([]byte, 1))    // until the test ends
}

func TestFileJournalIsThereOnlyWhileItHoldsARecord(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j := rotate.FileJournal(path)
	record, err := j.Lock(t.Context())
	require.NoError(t, err)
	assert.Empty(t, record)
	assert.NoFileExists(t, path)
	require.NoError(t, j.Save(t.Context(), nil), "to remove no record should be no error")
	for _, text := range []string{"one", "another"} {
		require.NoError(t, j.Save(t.Context(), []byte(text)))
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode())
	}
	require.NoError(t, j.Unlock())

	j = rotate.FileJournal(path)
	record, err = j.Lock(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "another", string(record))
	require.NoError(t, j.Save(t.Context(), nil))
	assert.NoFileExists(t, path)
	require.NoError(t, j.Unlock())
}

func TestFileJournalThatCannotBeReadIsNotLocked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	require.NoError(t, os.Mkdir(path, 0o700))
	j := rotate.FileJournal(path)
	_, err := j.Lock(t.Context())
	assert.ErrorContains(t, err, "is not a regular file")

	require.NoError(t, os.Remove(path))
	_, err = j.Lock(t.Context())
	require.NoError(t, err)
	require.NoError(t, j.Unlock())

	_, err = rotate.FileJournal(filepath.Join(path, "below", "a file")).Lock(t.Context())
	assert.Error(t, err)
}

func TestFileJournalIsUnlockedWhenItsProcessEnds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	process := exec.Command(os.Args[0]) // #nosec G204 G702 -- the test itself
	process.Env = append(os.Environ(), lockVar+"="+path)
	stdin, err := process.StdinPipe()
	require.NoError(t, err)
	defer func() { _ = stdin.Close() }() // it is gone with the process
	stdout, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "locked\n", line)
	_, err = rotate.FileJournal(path).Lock(t.Context())
	assert.ErrorIs(t, err, rotate.ErrLocked)

	require.NoError(t, process.Process.Kill())
	require.Error(t, process.Wait())

	j := rotate.FileJournal(path)
	_, err = j.Lock(t.Context())
	require.NoError(t, err)
	require.NoError(t, j.Unlock())
}

// A record that somebody planted could name any token.
func TestJournalThatSomebodyElseMayHaveWrittenIsRejected(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(path string) error{
		"a link":         func(path string) error { return os.Symlink(path+".target", path) },
		"of its group":   func(path string) error { return os.Chmod(path, 0o660) }, // #nosec G302 -- that is the point
		"of everybody":   func(path string) error { return os.Chmod(path, 0o606) }, // #nosec G302 -- that is the point
		"of another one": func(path string) error { return os.Chown(path, 4242, -1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "journal")
			if name != "a link" {
				require.NoError(t, os.WriteFile(path, []byte("a record"), 0o600))
			}
			err := plant(path)
			if name == "of another one" && err != nil {
				t.Skip("only root gives files away: ", err)
			}
			require.NoError(t, err)

			record, err := rotate.FileJournal(path).Lock(t.Context())

			assert.ErrorContains(t, err, path)
			assert.Empty(t, record)
		})
	}
}
