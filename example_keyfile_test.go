package fastly_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// A mounted secret may be replaced while the program runs.
func ExampleKeyFile() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "fastly-key")
	write(path, srv.Key())

	client, err := fastly.NewClient(
		fastly.WithAPIKeyFunc(fastly.KeyFile(path)),
		fastly.WithBaseURL(srv.URL),
	)
	if err != nil {
		log.Fatal(err)
	}
	next := srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{Name: "next"},
	})
	for range 2 {
		self, err := client.Tokens.GetTokenCurrent(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(self.Name)
		write(path, next.AccessToken)
	}
	// Output:
	// default
	// next
}

// write replaces a file in one step, so that no reader sees a part of it.
func write(path string, key fastly.Secret) {
	if err := os.WriteFile(path+".new", []byte(key.Reveal()), 0o600); err != nil {
		log.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		log.Fatal(err)
	}
}
