package fastly

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	// Go 1.26: the mirror of encoding/json/jsontext.
	"github.com/go-json-experiment/json/jsontext"

	"github.com/fastly-tokens/fastly/internal/terminal"
)

// Bounds on what is read and kept of a response. More is an error.
const (
	maxListBytes  = 64 << 20
	maxTokenBytes = 1 << 20 // in a list, too: the Decoder keeps all names of an object
	maxErrorBytes = 64 << 10
	maxTokens     = 500_000
	maxElements   = 4_000_000 // scopes and services of a whole list
	maxShared     = 100_000   // strings that recur
)

// plainBody is the body of a response without compression and byte order mark, which something on
// the way may have added, whatever was asked for and whatever the header says.
type plainBody struct {
	io.ReadCloser
	reader io.Reader // nil until the first read
}

func (b *plainBody) Read(p []byte) (n int, err error) {
	if b.reader != nil {
		return b.reader.Read(p)
	}
	b.reader = b.ReadCloser
	n, err = readStart(b.reader, p)
	if bytes.HasPrefix(p[:n], []byte("\x1f\x8b")) { // RFC 1952, section 2.3.1
		packed := io.MultiReader(bytes.NewReader(bytes.Clone(p[:n])), b.ReadCloser)
		b.reader, err = gzip.NewReader(io.LimitReader(packed, maxListBytes)) // which may stand for nothing
		if err != nil {
			b.reader = nil
			return 0, err
		}
		n, err = readStart(b.reader, p)
	}
	if bytes.HasPrefix(p[:n], []byte("\ufeff")) {
		n = copy(p, p[len("\ufeff"):n])
	}
	return n, err
}

// readStart reads enough to tell what a body begins with.
func readStart(r io.Reader, p []byte) (n int, err error) {
	for n < min(len("\ufeff"), len(p)) && err == nil {
		var more int
		more, err = r.Read(p[n:])
		n += more
	}
	return n, err
}

// coding says how a body is compressed, if that is a way that is not supported.
func coding(resp *http.Response) string {
	name := strings.ToLower(strings.Join(resp.Header.Values("Content-Encoding"), ", "))
	switch name {
	case "", "identity", "gzip", "x-gzip":
		return ""
	}
	return fmt.Sprintf(": it is compressed as %q", terminal.Truncate(name, 100))
}

// explain returns the outcome of a 2xx that can't be read. It never quotes the text, which may hold
// an access token.
func explain(resp *http.Response, err error) outcome {
	tooLong, isTooLong := errors.AsType[*http.MaxBytesError](err)
	syntactic, isSyntactic := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case errors.Is(err, ErrInvalidResponse):
	case errors.Is(err, gzip.ErrHeader):
		err = invalidResponse("it is not compressed, although it says so")
		return outcome{class: classAmbiguous, err: err, foreign: true}
	case isTooLong:
		err = invalidResponse("it is longer than %d MiB", tooLong.Limit>>20)
	case errors.Is(err, io.EOF):
		err = invalidResponse("it is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = invalidResponse("its JSON ends too early")
	case isSyntactic:
		at := syntactic.ByteOffset
		err = invalidResponse("it is not valid JSON at byte %d%s", at, coding(resp))
	default:
		return outcome{class: classTruncated, err: truncated(err)}
	}
	return outcome{class: classAmbiguous, err: err}
}

// invalidResponse says why a 2xx is not the response it should be.
func invalidResponse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalidResponse, fmt.Sprintf(format, args...))
}

// truncated says why a body was cut off.
func truncated(cause error) error { return fmt.Errorf("the response was truncated: %w", cause) }
