package fastly_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
)

// The transports work without a Client, for the rest of the API: here an http.Client purges, and
// its key is rotated meanwhile. The program examples/purge is this one, and says how to hand the
// http.Client to go-fastly.
func ExampleAPIKeyTransport() {
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path, "with the", r.Header.Get("Fastly-Key"))
	}))
	defer api.Close()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "fastly-key")
	write(path, "first-key")

	client := &http.Client{
		Transport: &fastly.APIKeyTransport{
			KeyFunc: fastly.KeyFile(path),                   // read for each request
			Host:    strings.TrimPrefix(api.URL, "http://"), // default api.fastly.com
		},
		Timeout: time.Minute,
	}
	for range 2 {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, api.URL+"/service/SU1Z0isxPaozGVKXdv0eY/purge/menu", nil)
		if err != nil {
			log.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			log.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			log.Fatal(err)
		}
		write(path, "second-key") // as a rotation does
	}
	// Output:
	// POST /service/SU1Z0isxPaozGVKXdv0eY/purge/menu with the first-key
	// POST /service/SU1Z0isxPaozGVKXdv0eY/purge/menu with the second-key
}
