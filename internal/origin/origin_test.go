package origin_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/fastly-tokens/fastly/internal/origin"
)

func TestHostHasThePortOfItsScheme(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "api.fastly.com:443", origin.Host("API.fastly.com", "https"))
	assert.Equal(t, "localhost:80", origin.Host("localhost", "http"))
	assert.Equal(t, "::1:8080", origin.Host("[::1]:8080", "http"))
}

func TestLoopbackIsThisMachine(t *testing.T) {
	t.Parallel()
	for hostname, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.example.com": false, "10.0.0.1": false, "127.0.0.1.example.com": false,
	} {
		assert.Equal(t, want, origin.IsLoopback(hostname), hostname)
	}
}

func TestRedirectOverHTTPSIsKnownByItsRequest(t *testing.T) {
	t.Parallel()
	assert.False(t, origin.IsHTTPS(nil))
	assert.False(t, origin.IsHTTPS(&http.Response{}))
	assert.True(t, origin.IsHTTPS(&http.Response{Request: &http.Request{URL: &url.URL{Scheme: "https"}}}))
	assert.False(t, origin.IsHTTPS(&http.Response{Request: &http.Request{URL: &url.URL{Scheme: "http"}}}))
}
