//go:build unix

package fastly_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

func TestKeyFileThatIsAFIFOIsRejectedWithoutBlocking(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	link := path + ".link"
	require.NoError(t, os.Symlink(path, link))
	for _, path := range []string{path, link, "/dev/zero"} {
		// With nobody who writes, opening it would never return.
		assert.ErrorContains(t, assertNoKey(t, fastly.KeyFile(path)), "not a regular file")
	}
}

func TestKeyFileWithALineBreakInItsNameIsQuoted(t *testing.T) {
	t.Parallel()
	err := assertNoKey(t, fastly.KeyFile(filepath.Join(t.TempDir(), "two\nlines")))
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, `two\nlines"`)
}

// secretVolume is laid out as Kubernetes mounts a secret: token is a link to
// ..data/token, and ..data one to the folder that is swapped.
type secretVolume struct {
	dir  string
	made int
}

func (v *secretVolume) path() string { return filepath.Join(v.dir, "token") }

// swap makes the volume hold the key, at every moment whole.
func (v *secretVolume) swap(key string) error {
	v.made++
	data := fmt.Sprintf("..data-%d", v.made)
	old, _ := os.Readlink(filepath.Join(v.dir, "..data")) // none at first
	if err := os.Mkdir(filepath.Join(v.dir, data), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(v.dir, data, "token"), []byte(key), 0o600); err != nil {
		return err
	}
	if err := os.Symlink(data, filepath.Join(v.dir, "..data_tmp")); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(v.dir, "..data_tmp"), filepath.Join(v.dir, "..data")); err != nil {
		return err
	}
	if old == "" {
		return os.Symlink(filepath.Join("..data", "token"), v.path())
	}
	return os.RemoveAll(filepath.Join(v.dir, old))
}

func TestKeyFileFollowsALinkThatIsSwappedUnderManyGoroutines(t *testing.T) {
	t.Parallel()
	const goroutines, swaps = 8, 20
	srv := newAPI(t)
	tokens := srv.Tokens()
	for range 3 {
		tokens = append(tokens, srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{}))
	}
	volume := &secretVolume{dir: t.TempDir()}
	require.NoError(t, volume.swap(tokens[0].AccessToken.Reveal()))
	c := srv.Client(fastly.WithAPIKeyFunc(fastly.KeyFile(volume.path())), noRetry)

	var wg sync.WaitGroup
	var swapped atomic.Bool
	for range goroutines {
		wg.Go(func() {
			for !swapped.Load() {
				if _, err := c.Tokens.GetTokenCurrent(t.Context()); !assert.NoError(t, err) {
					return
				}
			}
		})
	}
	for n := range swaps {
		want := tokens[n%len(tokens)]
		if !assert.NoError(t, volume.swap(want.AccessToken.Reveal())) {
			break
		}
		got, err := c.Tokens.GetTokenCurrent(t.Context())
		if !assert.NoError(t, err) || !assert.Equal(t, want.ID, got.ID, "the key that the link leads to") {
			break
		}
	}
	swapped.Store(true)
	wg.Wait()
}
