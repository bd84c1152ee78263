package fastly

import (
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

// unreadCoding ends an error text with how a body is compressed, unless the client reads that.
func unreadCoding(resp *http.Response) string {
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
	case isSyntactic && syntactic.ByteOffset == 0:
		err = invalidResponse("it is not JSON%s; "+notAPI, unreadCoding(resp))
	case isSyntactic:
		err = invalidResponse("it is not valid JSON at byte %d%s", syntactic.ByteOffset, unreadCoding(resp))
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
