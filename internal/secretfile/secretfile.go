// Package secretfile reads keys, passwords and codes, which programs get in files or on standard
// input.
package secretfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Max is the length in bytes of the longest secret that Read and ReadLine return.
const Max = 4 << 10

// Read returns the only line of a file, or of a pipe to its end, without a line break. An error does
// not show a path that can't be opened: it may be the secret itself, by mistake.
func Read(path string) (string, error) {
	f, err := os.Open(path) // #nosec G304 -- the user says where
	if err != nil {
		return "", fmt.Errorf("its file can't be opened: %w", withoutPath(err))
	}
	text, err := readAll(f, Max)
	switch {
	case err != nil:
		return "", fmt.Errorf("%q: %w", path, err)
	case text == "":
		return "", fmt.Errorf("%q is empty", path)
	case strings.ContainsAny(text, "\r\n"):
		return "", fmt.Errorf("%q has more than one line", path)
	}
	return text, nil
}

// ReadRegular returns the content of a regular file of at most limit bytes, without a line break at
// its end: it opens no device, and waits for nobody to write. No error shows the path.
func ReadRegular(path string, limit int64) (string, error) {
	if err := checkRegular(os.Stat(path)); err != nil { // to open a device may have an effect
		return "", withoutPath(err)
	}
	f, err := open(path)
	if err != nil {
		return "", withoutPath(err)
	}
	if err := checkRegular(f.Stat()); err != nil { // it was replaced meanwhile
		return "", errors.Join(withoutPath(err), f.Close())
	}
	return readAll(f, limit)
}

func checkRegular(info fs.FileInfo, err error) error {
	if err == nil && !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	return err
}

// readAll reads f to its end, and closes it.
func readAll(f *os.File, limit int64) (string, error) {
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	_ = f.Close() // only read
	if err != nil {
		return "", withoutPath(err)
	}
	if int64(len(content)) > limit {
		return "", fmt.Errorf("longer than %d KiB", limit>>10)
	}
	text, isLine := strings.CutSuffix(string(content), "\n")
	if isLine {
		text = strings.TrimSuffix(text, "\r")
	}
	return text, nil
}

// withoutPath returns what is wrong. An error of the operating system repeats the path as it is.
func withoutPath(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	return err
}

// ReadLine returns a line without its end, which must not be empty, and reads nothing after it: the
// rest may be for somebody else.
func ReadLine(r io.Reader) (string, error) {
	var line []byte
	buf := make([]byte, 1)
	for {
		n, err := r.Read(buf)
		switch {
		case n == 1 && buf[0] == '\n', err == io.EOF:
			text := strings.TrimSuffix(string(line), "\r")
			if text == "" {
				return "", errors.New("the line is empty")
			}
			return text, nil
		case n == 1 && len(line) == Max:
			return "", fmt.Errorf("the line is longer than %d bytes", Max)
		case n == 1:
			line = append(line, buf[0])
		case err != nil:
			return "", err
		}
	}
}
