//go:build unix

package secretfile

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// It may have been a regular file a moment before.
func TestFileThatBecomesAFIFOIsOpenedWithoutBlocking(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	file, err := open(path) // with nobody who writes
	require.NoError(t, err)
	require.NoError(t, file.Close())
	_, err = ReadRegular(path, Max)
	assert.ErrorContains(t, err, "not a regular file")
}
