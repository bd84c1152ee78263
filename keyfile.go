package fastly

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fastly-tokens/fastly/internal/plain"
	"github.com/fastly-tokens/fastly/internal/secretfile"
)

const keyFileGrace = time.Minute // for a file that is being replaced

// KeyFile returns a function for [WithAPIKeyFunc] that reads the API key from a regular file of at
// most 64 KiB, such as a mounted secret, at each call. It follows symbolic links. One LF or CRLF at
// the end is not part of the key. To replace a key, rename a new file over the old one: a file that
// is rewritten in place may be read in part.
//
// While the file is missing or empty, the last key is used for up to a minute after it was last
// read; then calls fail, so deleting the file withdraws the key. Any other failure is immediate.
//
// The function is safe for concurrent use. Errors name the file and never show its content. They
// match the cause, such as [fs.ErrNotExist], or [ErrInvalidArgument] if the file holds no key. A
// path that is empty, or looks like an access token (32 letters, digits, '-' and '_'), gives an
// error that does not show it; write ./ in front of the name if the file is really called that.
func KeyFile(path string) func(context.Context) (Secret, error) {
	return (&keyFile{path: path}).key
}

type keyFile struct {
	path string
	last atomic.Pointer[keyRead] // nil: none yet
}

type keyRead struct {
	key Secret
	at  time.Time
}

func (f *keyFile) key(context.Context) (Secret, error) {
	name := strings.Trim(f.path, " \t\r\n\"'") // a key in place of a path may have these around it
	switch {
	case f.path == "":
		return "", invalid("the path of the key file is empty")
	case len(name) == accessTokenLength && plain.HasWord(name, accessTokenLength):
		return "", invalid("the path of the key file looks like a key")
	}
	text, err := secretfile.ReadRegular(f.path, 64<<10)
	now, last := time.Now(), f.last.Load()
	empty := err == nil && text == ""
	if last != nil && now.Sub(last.at) < keyFileGrace && (empty || errors.Is(err, fs.ErrNotExist)) {
		return last.key, nil
	}
	if err != nil {
		return "", fmt.Errorf("fastly: key file %.1024q: %w", f.path, err)
	}
	if err := checkText(fmt.Sprintf("the API key in the file %.1024q", f.path), text, false); err != nil {
		return "", err
	}
	f.last.Store(&keyRead{Secret(text), now})
	return Secret(text), nil
}
