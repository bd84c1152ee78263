package fastly_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

const anotherKey = "q7-Zt2LmXc9VbN4KjHgFdSaPoIuYtReW"

// writeKey writes a key file in a folder of the test's own and returns its path.
func writeKey(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	overwrite(t, path, text)
	return path
}

// overwrite writes into the file that is there, if there is one.
func overwrite(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func assertKey(t *testing.T, want string, key func(context.Context) (fastly.Secret, error)) {
	t.Helper()
	got, err := key(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, got.Reveal(), "the key")
}

// assertNoKey checks that there is an error in one line that shows no key, and returns it.
func assertNoKey(t *testing.T, key func(context.Context) (fastly.Secret, error)) error {
	t.Helper()
	got, err := key(t.Context())
	require.Error(t, err)
	assert.Empty(t, got.Reveal(), "no key beside an error")
	assertOneLine(t, err)
	for _, secret := range []string{someKey, anotherKey} {
		assert.NotContains(t, err.Error(), secret[:10], "an error shows a key")
	}
	return err
}

func TestKeyFileTrimsOneLineBreak(t *testing.T) {
	t.Parallel()
	for _, text := range []string{someKey, someKey + "\n", someKey + "\r\n"} {
		assertKey(t, someKey, fastly.KeyFile(writeKey(t, text)))
	}
}

func TestKeyFileWithoutAKeyInItNamesTheFile(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		someKey + "\n\n":               "holds a control character",
		someKey + "\r\n\r\n":           "holds a control character",
		someKey + "\r":                 "holds a control character",
		"\n" + someKey:                 "holds a control character",
		" " + someKey + " ":            "holds white space or another character that does not belong there",
		"FASTLY_API_TOKEN= " + someKey: "holds white space or another character that does not belong there",
		`"` + someKey + `"`:            "has quotes around it: leave them out",
		"'" + someKey + "'\n":          "has quotes around it: leave them out",
		"\ufeff" + someKey:             "begins with a byte order mark",
		"\xff\xfe" + someKey:           "begins with a byte order mark",
		"[REDACTED]\n":                 "is [REDACTED], as a hidden secret prints: reveal the secret",
		someKey + "\x00":               "holds a control character",
		"\u201c" + someKey + "\u201d":  "holds white space or another character that does not belong there",
	} {
		path := writeKey(t, someKey)
		key := fastly.KeyFile(path)
		assertKey(t, someKey, key)
		overwrite(t, path, text)
		err := assertNoKey(t, key)
		assertInvalid(t, err, "the API key in the file", filepath.Base(path), says)

		overwrite(t, path, "")
		assertKey(t, someKey, key) // the last good one
	}
}

func TestKeyFileOfUpTo64KiBIsRead(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat(someKey, 64<<10/len(someKey))
	assertKey(t, longest, fastly.KeyFile(writeKey(t, longest)))
	err := assertNoKey(t, fastly.KeyFile(writeKey(t, longest+"x")))
	assert.ErrorContains(t, err, "64 KiB")
}

func TestKeyFileThatIsEmptyIsAnError(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n", "\r\n"} {
		path := writeKey(t, text)
		err := assertNoKey(t, fastly.KeyFile(path))
		assert.ErrorContains(t, err, "empty")
		assert.ErrorContains(t, err, filepath.Base(path))
	}
}

func TestKeyFileThatIsMissingIsAnError(t *testing.T) {
	t.Parallel()
	err := assertNoKey(t, fastly.KeyFile(filepath.Join(t.TempDir(), "none")))
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.NotErrorIs(t, err, fastly.ErrInvalidArgument)
	assert.Equal(t, 1, strings.Count(err.Error(), "none"), "the path, once: %v", err)
}

func TestKeyFileOfAFolderOrDeviceIsAnError(t *testing.T) {
	t.Parallel()
	for _, path := range []string{t.TempDir(), os.DevNull} {
		assert.ErrorContains(t, assertNoKey(t, fastly.KeyFile(path)), "not a regular file")
	}
}

func TestKeyFileRejectsAPathThatCanOnlyBeAMistake(t *testing.T) {
	t.Parallel()
	assertInvalid(t, assertNoKey(t, fastly.KeyFile("")), "path", "empty")
	for _, path := range []string{someKey, someKey + "\n", " " + someKey + "\r\n", `"` + someKey + `"`} {
		assertInvalid(t, assertNoKey(t, fastly.KeyFile(path)), "looks like a key")
	}
	// What is longer or shorter, or has another character, can be a file.
	for _, path := range []string{someKey + "x", someKey[1:], "." + someKey[1:]} {
		_, err := fastly.KeyFile(path)(t.Context())
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
}

// Nothing that a file system says about a file proves that it is unchanged.
func TestKeyFileIsReadAtEachCall(t *testing.T) {
	t.Parallel()
	path := writeKey(t, someKey)
	info, err := os.Stat(path)
	require.NoError(t, err)
	key := fastly.KeyFile(path)
	for _, text := range []string{someKey, anotherKey, someKey, anotherKey} { // of the same length
		overwrite(t, path, text)
		require.NoError(t, os.Chtimes(path, time.Time{}, info.ModTime()))
		assertKey(t, text, key)
	}
}

func TestKeyFileThatGoesKeepsItsKeyForAMinute(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, path string) error{
		"missing": func(t *testing.T, path string) error {
			require.NoError(t, os.Remove(path))
			return fs.ErrNotExist
		},
		"folder missing": func(t *testing.T, path string) error {
			require.NoError(t, os.RemoveAll(filepath.Dir(path)))
			return fs.ErrNotExist
		},
		"empty": func(t *testing.T, path string) error {
			overwrite(t, path, "")
			return nil
		},
		"an empty line": func(t *testing.T, path string) error {
			overwrite(t, path, "\n")
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				path := writeKey(t, someKey)
				key := fastly.KeyFile(path)
				assertKey(t, someKey, key)
				time.Sleep(time.Hour)
				assertKey(t, someKey, key) // the minute counts from here

				cause := lose(t, path)

				assertKey(t, someKey, key)
				time.Sleep(time.Minute - time.Nanosecond)
				assertKey(t, someKey, key)
				time.Sleep(time.Nanosecond)
				err := assertNoKey(t, key)
				if cause != nil {
					require.ErrorIs(t, err, cause)
				}
				time.Sleep(time.Hour)
				_ = assertNoKey(t, key)

				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				overwrite(t, path, anotherKey+"\n")
				assertKey(t, anotherKey, key)
			})
		})
	}
}

func TestKeyFileThatCannotBeReadAnyLongerFailsAtOnce(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, path string){
		"too long": func(t *testing.T, path string) {
			overwrite(t, path, strings.Repeat(someKey, 64<<10/len(someKey))+"x")
		},
		"a folder": func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Mkdir(path, 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := writeKey(t, someKey)
			key := fastly.KeyFile(path)
			assertKey(t, someKey, key)
			spoil(t, path)
			_ = assertNoKey(t, key)
		})
	}
}

func TestClientWithoutItsKeyFileSendsNothing(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	path := filepath.Join(t.TempDir(), "key")
	c := srv.Client(fastly.WithAPIKeyFunc(fastly.KeyFile(path)))
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	require.ErrorIs(t, err, fs.ErrNotExist)
	assertOneLine(t, err)
	assert.Contains(t, err.Error(), "fastly: GET /tokens/self: the key function failed: key file \""+path, "one prefix")
	assert.Empty(t, srv.Requests(), "a request without a key")

	overwrite(t, path, srv.Key().Reveal()+"\n")
	_, err = c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
}
