// Package neterr tells what errors of net/http mean for which it has no types.
package neterr

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
)

// IsUnprocessed reports whether err says that the server did not process a request: its HTTP/2
// stream is above the last one that GOAWAY names, or was refused (RFC 9113, sections 6.8 and 8.7).
// Go 1.26: the texts are net/http's, which exports no types for them; 1.27 has the same.
func IsUnprocessed(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		text := err.Error()
		if inner, ok := strings.CutPrefix(text, "http2: Transport: cannot retry err ["); ok {
			text, _ = strings.CutSuffix(inner, "] after Request.Body was written; define Request.GetBody to avoid this error")
		}
		if text == "http2: Transport received Server's graceful shutdown GOAWAY" {
			return true
		}
		if stream, ok := strings.CutPrefix(text, "stream error: stream ID "); ok {
			id, reason, _ := strings.Cut(stream, "; ")
			return strings.Trim(id, "0123456789") == "" && reason == "REFUSED_STREAM; received from peer"
		}
	}
	return false
}

// IsPlainHTTP reports whether err says that the server does not speak TLS.
func IsPlainHTTP(err error) bool {
	_, isNoRecord := errors.AsType[tls.RecordHeaderError](err)
	return isNoRecord || errors.Is(err, http.ErrSchemeMismatch)
}
