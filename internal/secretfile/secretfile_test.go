package secretfile_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly/internal/secretfile"
)

func TestReadLeavesOutOneLineBreak(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	for _, test := range []struct{ content, want string }{
		{"x", "x"}, {"x\n", "x"}, {"x\r\n", "x"}, {" x ", " x "},
	} {
		require.NoError(t, os.WriteFile(path, []byte(test.content), 0o600))
		got, err := secretfile.Read(path)
		require.NoError(t, err)
		assert.Equal(t, test.want, got)
	}
	for content, want := range map[string]string{"\n": "is empty", "x\n\n": "more than one line", "a\rb": "more than one line"} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err := secretfile.Read(path)
		assert.ErrorContains(t, err, want)
	}
	require.NoError(t, os.WriteFile(path, make([]byte, secretfile.Max+1), 0o600))
	_, err := secretfile.Read(path)
	assert.ErrorContains(t, err, "longer than 4 KiB")
}

func TestReadDoesNotShowAPathThatMayBeTheSecret(t *testing.T) {
	t.Parallel()
	_, err := secretfile.Read("hunter22")
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.NotContains(t, err.Error(), "hunter22")
}

func TestReadLineReadsNothingAfterIt(t *testing.T) {
	t.Parallel()
	r := strings.NewReader("one\r\ntwo")
	line, err := secretfile.ReadLine(r)
	require.NoError(t, err)
	assert.Equal(t, "one", line)
	line, err = secretfile.ReadLine(r)
	require.NoError(t, err)
	assert.Equal(t, "two", line, "the last one needs no end")
	_, err = secretfile.ReadLine(r)
	require.ErrorContains(t, err, "the line is empty")
	_, err = secretfile.ReadLine(strings.NewReader(strings.Repeat("x", secretfile.Max+1)))
	assert.ErrorContains(t, err, "the line is longer")
}
