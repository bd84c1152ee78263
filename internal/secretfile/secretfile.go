// Package secretfile reads passwords and codes, which programs get in files or on standard input.
package secretfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Max is the length in bytes of the longest secret.
const Max = 4 << 10

// Read returns the content of a file, or of a pipe to its end, without a line break at its end. An
// error does not show a path that can't be opened: it may be the secret itself, by mistake.
func Read(path string) (string, error) {
	f, err := os.Open(path) // #nosec G304 -- the user says where
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return "", fmt.Errorf("its file can't be opened: %w", pathError.Err)
	}
	content, err := io.ReadAll(io.LimitReader(f, Max+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	if len(content) > Max {
		return "", fmt.Errorf("%q is longer than %d bytes", path, Max)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), nil
}

// ReadLine returns a line without its end, and reads nothing after it: the rest may be for somebody
// else.
func ReadLine(r io.Reader) (string, error) {
	var line []byte
	buf := make([]byte, 1)
	for {
		n, err := r.Read(buf)
		switch {
		case n == 1 && buf[0] == '\n', err == io.EOF && len(line) > 0:
			return strings.TrimSuffix(string(line), "\r"), nil
		case n == 1 && len(line) == Max:
			return "", fmt.Errorf("the line is longer than %d bytes", Max)
		case n == 1:
			line = append(line, buf[0])
		case err != nil:
			return "", err
		}
	}
}
