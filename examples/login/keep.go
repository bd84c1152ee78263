package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/fastly-tokens/fastly"
)

// keeper puts an access token where it was asked for, and says where that is. If
// it has a place then it is kept, even if there is an error.
type keeper interface {
	keep(fastly.Secret) (place string, err error)
}

// printed writes the access token as a line, and nothing else.
type printed struct{ w io.Writer }

func (p *printed) keep(token fastly.Secret) (string, error) {
	if _, err := fmt.Fprintln(p.w, token.Reveal()); err != nil {
		return "", err
	}
	return "on standard output", nil
}

// tokenFile is a file with the access token and nothing else, no line break
// either, that appears whole or not at all. Until it is kept it has
// a name of its own, beside its path.
type tokenFile struct {
	path  string
	force bool
	temp  *os.File
	done  bool
}

// newTokenFile makes sure that the file can be written.
func newTokenFile(path string, force bool) (*tokenFile, error) {
	info, err := os.Lstat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", strconv.Quote(path))
	case err == nil && !force:
		return nil, fmt.Errorf("%s exists: choose another file, or replace it with -force", strconv.Quote(path))
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	// Mode 0600 from the start.
	temp, err := os.CreateTemp(filepath.Dir(path), ".login-*")
	if err != nil {
		return nil, err
	}
	return &tokenFile{path: path, force: force, temp: temp}, nil
}

// discard removes what is left of a file that was not kept.
func (f *tokenFile) discard() {
	if !f.done {
		_ = f.temp.Close()           // nothing in it matters
		_ = os.Remove(f.temp.Name()) // an empty file is no harm
	}
}

func (f *tokenFile) keep(token fastly.Secret) (string, error) {
	_, err := f.temp.WriteString(token.Reveal())
	if err == nil {
		err = f.temp.Sync()
	}
	if closeErr := f.temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return "", err
	}
	// From here on the token is on disk and stays there.
	f.done = true
	if err := f.publish(); err != nil {
		return "in " + strconv.Quote(f.temp.Name()), fmt.Errorf("the file could not be renamed to %s: %w", strconv.Quote(f.path), err)
	}
	return "in " + strconv.Quote(f.path) + ", which only you can read", nil
}

// publish gives the file its name. Without force it does not replace another
// one that has come there meanwhile.
func (f *tokenFile) publish() error {
	if !f.force {
		err := os.Link(f.temp.Name(), f.path)
		if err == nil {
			return os.Remove(f.temp.Name())
		}
		if errors.Is(err, fs.ErrExist) {
			return err
		}
		// A file system without hard links.
		if _, err := os.Lstat(f.path); !errors.Is(err, fs.ErrNotExist) {
			return fs.ErrExist
		}
	}
	return os.Rename(f.temp.Name(), f.path)
}
