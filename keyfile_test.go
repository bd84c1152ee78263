package fastly_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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

// replace puts a new file in the place of the old one.
func replace(t *testing.T, path, text string) {
	t.Helper()
	overwrite(t, path+".new", text)
	require.NoError(t, os.Rename(path+".new", path))
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
	for text, want := range map[string]string{
		someKey:              someKey,
		someKey + "\n":       someKey,
		someKey + "\r\n":     someKey,
		someKey + "\n\n":     someKey + "\n",
		someKey + "\r\n\r\n": someKey + "\r\n",
		someKey + "\r":       someKey + "\r",
		"\n" + someKey:       "\n" + someKey,
		" " + someKey + " ":  " " + someKey + " ",
	} {
		assertKey(t, want, fastly.KeyFile(writeKey(t, text)))
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
	assertInvalid(t, assertNoKey(t, fastly.KeyFile(someKey)), "looks like a key")
	// What is longer or shorter, or has another character, can be a file.
	for _, path := range []string{someKey + "x", someKey[1:], "." + someKey[1:]} {
		_, err := fastly.KeyFile(path)(t.Context())
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
}

func TestKeyFileIsReadAgainWhenItChanged(t *testing.T) {
	t.Parallel()
	moved := func(t *testing.T, path string, by time.Duration) {
		t.Helper()
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.NoError(t, os.Chtimes(path, time.Time{}, info.ModTime().Add(by)))
	}
	// Each leaves the other two as they are.
	for name, change := range map[string]func(t *testing.T, path string, modified time.Time){
		"size": func(t *testing.T, path string, modified time.Time) {
			overwrite(t, path, anotherKey+"\n")
			require.NoError(t, os.Chtimes(path, time.Time{}, modified))
		},
		"modification time": func(t *testing.T, path string, modified time.Time) {
			overwrite(t, path, anotherKey)
			require.NoError(t, os.Chtimes(path, time.Time{}, modified))
			moved(t, path, time.Second)
		},
		"inode": func(t *testing.T, path string, modified time.Time) {
			replace(t, path, anotherKey)
			require.NoError(t, os.Chtimes(path, time.Time{}, modified))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				path := writeKey(t, someKey)
				key := fastly.KeyFile(path)
				assertKey(t, someKey, key)
				time.Sleep(time.Hour)
				assertKey(t, someKey, key)
				info, err := os.Stat(path)
				require.NoError(t, err)

				change(t, path, info.ModTime())

				assertKey(t, anotherKey, key)
			})
		})
	}
}

// A file system may give two writes the same time, if they follow each other
// closely; two seconds apart it never does.
func TestKeyFileIsReadAtEachCallUntilItsTimeCanBeTrusted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := writeKey(t, someKey)
		info, err := os.Stat(path)
		require.NoError(t, err)
		rewrite := func(text string) {
			overwrite(t, path, text)
			require.NoError(t, os.Chtimes(path, time.Time{}, info.ModTime()))
		}
		key := fastly.KeyFile(path)
		assertKey(t, someKey, key)
		for _, text := range []string{anotherKey, someKey, anotherKey} {
			rewrite(text)
			assertKey(t, text, key)
			time.Sleep(600 * time.Millisecond)
		}
		rewrite(someKey)
		time.Sleep(time.Hour)
		assertKey(t, someKey, key) // read long after its time: settled

		rewrite(anotherKey)

		assertKey(t, someKey, key) // nothing has changed, so it is not read
	})
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

func TestKeyFileHonorsTheContext(t *testing.T) {
	t.Parallel()
	path := writeKey(t, someKey)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := fastly.KeyFile(path)(canceled)
	require.ErrorIs(t, err, context.Canceled)
	assertOneLine(t, err)
}

func TestKeyFileIsReadByOneCallAtATime(t *testing.T) {
	t.Parallel()
	path := writeKey(t, someKey)
	synctest.Test(t, func(t *testing.T) {
		key, done := fastly.BusyKeyFile(path)
		var wg sync.WaitGroup
		var finished atomic.Int32
		for range 16 {
			wg.Go(func() {
				got, err := key(t.Context())
				assert.NoError(t, err)
				assert.Equal(t, someKey, got.Reveal())
				finished.Add(1)
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := key(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded, "a call that waits ends with its context")
		assert.Zero(t, finished.Load(), "calls that did not wait")
		done()
		wg.Wait()
		assert.EqualValues(t, 16, finished.Load())
	})
}

func TestClientWithoutItsKeyFileSendsNothing(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	path := filepath.Join(t.TempDir(), "key")
	c := srv.Client(fastly.WithAPIKeyFunc(fastly.KeyFile(path)))
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	require.ErrorIs(t, err, fs.ErrNotExist)
	assertOneLine(t, err)
	assert.Empty(t, srv.Requests(), "a request without a key")

	overwrite(t, path, srv.Key().Reveal()+"\n")
	_, err = c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
}
