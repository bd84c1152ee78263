package fastly

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

const (
	maxKeyFileBytes = 64 << 10
	keyFileGrace    = time.Minute     // for a file that is being replaced
	fileTimeUnit    = 2 * time.Second // FAT's, the coarsest of modification times in use
)

var errKeyFileEmpty = errors.New("the file is empty")

// KeyFile returns a function for [WithAPIKeyFunc] that reads the API key from a regular file of at
// most 64 KiB, such as a mounted secret. One LF or CRLF at the end is not part of the key; anything
// else is.
//
// Each call follows symbolic links, and reads the file again if its size, modification time or
// inode has changed. For two seconds after a change every call reads it, since a file system may
// give two writes the same time. To replace a key, rename a new file over the old one: a file that
// is rewritten in place may be read in part.
//
// While the file is missing or empty, the last key is used for up to a minute after it was last
// seen; then calls fail, so deleting the file withdraws the key. Any other failure is immediate.
//
// The function is safe for concurrent use: one call at a time reads the file; the others wait for
// it, or until their contexts end. Errors name the file, never show its content, and match the
// cause, such as [fs.ErrNotExist]. A path that is empty, or looks like an access token (32 letters,
// digits, '-' and '_'), gives an error that does not show it, and matches [ErrInvalidArgument];
// write ./ in front of the name if the file is really called that.
func KeyFile(path string) func(context.Context) (Secret, error) {
	return (&keyFile{path: path, turn: make(chan struct{}, 1)}).key
}

// keyFile remembers what a key file last held.
type keyFile struct {
	path string
	turn chan struct{} // a lock that a context can stop waiting for; guards what follows

	last    Secret
	info    fs.FileInfo // of the file that held last; nil if there was none
	since   time.Time   // when info was first seen
	settled bool        // last was read so long after since that a later write changes info
	seen    time.Time   // when the file was last seen to hold last
}

func (f *keyFile) key(ctx context.Context) (Secret, error) {
	switch {
	case f.path == "":
		return "", invalid("the path of the key file is empty")
	case len(f.path) == accessTokenLength && !strings.ContainsFunc(f.path, notInToken): // the form of an access token
		return "", invalid("the path of the key file looks like a key")
	}
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
	}
	now, err := time.Now(), ctx.Err()
	if err == nil {
		err = f.read(now)
	}
	switch absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, errKeyFileEmpty); {
	case err == nil:
		f.seen = now
		return f.last, nil
	case absent && f.info != nil && now.Sub(f.seen) < keyFileGrace:
		return f.last, nil
	}
	// An error of the operating system repeats the path as it is.
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err
	}
	return "", fmt.Errorf("fastly: key file %.1024q: %w", f.path, err)
}

// read brings last up to date.
func (f *keyFile) read(now time.Time) error {
	info, err := os.Stat(f.path)
	switch {
	case err != nil:
		return err
	case f.settled && sameFile(info, f.info):
		return nil
	case !info.Mode().IsRegular(): // to open a FIFO would block
		return errors.New("not a regular file")
	}
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	// On Windows, os.Stat returns a path by which os.SameFile finds the inode later: too late.
	if info, err = file.Stat(); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFileBytes+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxKeyFileBytes:
		return errors.New("longer than 64 KiB")
	}
	key, isLine := strings.CutSuffix(string(text), "\n")
	if isLine {
		key = strings.TrimSuffix(key, "\r")
	}
	if key == "" {
		return errKeyFileEmpty
	}
	if sameFile(info, f.info) {
		f.settled = now.Sub(f.since) >= fileTimeUnit
	} else {
		f.info, f.since, f.settled = info, time.Now(), false
	}
	f.last = Secret(key)
	return nil
}

// sameFile reports whether a and b describe the same unchanged file.
func sameFile(a, b fs.FileInfo) bool {
	return b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
