package neterr_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/fastly-tokens/fastly/internal/neterr"
)

func TestTextsOfRequestsThatWereNotProcessed(t *testing.T) {
	t.Parallel()
	const refused = "stream error: stream ID 3; REFUSED_STREAM; received from peer"
	for text, want := range map[string]bool{
		refused: true,
		"http2: Transport received Server's graceful shutdown GOAWAY":                                                                     true,
		"http2: Transport: cannot retry err [" + refused + "] after Request.Body was written; define Request.GetBody to avoid this error": true,
		"stream error: stream ID 3; REFUSED_STREAM":                                                                                       false,
		"stream error: stream ID 3; PROTOCOL_ERROR; received from peer":                                                                   false,
		"stream error: stream ID x3; REFUSED_STREAM; received from peer":                                                                  false,
		"the page says: " + refused:                                                                                                       false,
		"http2: Transport received Server's graceful shutdown GOAWAY, perhaps":                                                            false,
	} {
		assert.Equal(t, want, neterr.IsUnprocessed(errors.New(text)), text)
		assert.Equal(t, want, neterr.IsUnprocessed(fmt.Errorf("wrapped: %w", errors.New(text))), text)
	}
	assert.False(t, neterr.IsUnprocessed(nil))
}

func TestServersWithoutTLSAreTold(t *testing.T) {
	t.Parallel()
	assert.True(t, neterr.IsPlainHTTP(fmt.Errorf("dial: %w", tls.RecordHeaderError{})))
	assert.True(t, neterr.IsPlainHTTP(fmt.Errorf("dial: %w", http.ErrSchemeMismatch)))
	assert.False(t, neterr.IsPlainHTTP(io.EOF))
}
