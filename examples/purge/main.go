// Purge purges surrogate keys of a service with an http.Client whose API key can be
// rotated while a program runs.
//
//	FASTLY_API_TOKEN_FILE=/run/secrets/fastly FASTLY_SERVICE_ID=SU1Z0isxPaozGVKXdv0eY purge article-42
//
// Without surrogate keys, it shows whether the token may purge. Try that with a
// made-up account, which has no service to purge (a 404):
//
//	fastly-token serve -- go run ./examples/purge
//
// The http.Client fits go-fastly as well. Both packages are called fastly: import
// one of them under another name.
//
//	import gofastly "github.com/fastly/go-fastly/v12/fastly"
//
//	client, err := gofastly.NewClient("") // no key of its own
//	client.HTTPClient = &http.Client{Transport: &fastly.APIKeyTransport{KeyFunc: fastly.KeyFile(path)}}
//
// A transport without a Host sends the key to api.fastly.com only, so FASTLY_API_URL,
// which go-fastly reads as well, must not name another host.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	err := run(ctx, os.Getenv("FASTLY_SERVICE_ID"), os.Args[1:])
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "purge:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, service string, surrogateKeys []string) error {
	if service == "" {
		return errors.New("set FASTLY_SERVICE_ID to the ID of the service")
	}
	base, err := url.Parse(cmp.Or(os.Getenv("FASTLY_API_URL"), fastly.DefaultBaseURL))
	if err != nil {
		return err
	}
	transport := &fastly.APIKeyTransport{Key: fastly.Secret(os.Getenv("FASTLY_API_TOKEN")), Host: base.Host}
	if path := os.Getenv("FASTLY_API_TOKEN_FILE"); path != "" {
		transport.KeyFunc = fastly.KeyFile(path) // read for each request
	}
	if len(surrogateKeys) == 0 {
		return show(ctx, base.String(), transport, service)
	}
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	return purge(ctx, client, base.JoinPath("service", service, "purge").String(), surrogateKeys)
}

// purge makes one request. After an error it may be repeated: purging twice does no
// harm.
func purge(ctx context.Context, client *http.Client, target string, surrogateKeys []string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Surrogate-Key", strings.Join(surrogateKeys, " "))
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the API says %d: %q", resp.StatusCode, body) // untrusted text
	}
	return err
}

// show prints what the token may do.
func show(ctx context.Context, baseURL string, transport http.RoundTripper, service string) error {
	client, err := fastly.NewClient(fastly.WithTransport(transport), fastly.WithBaseURL(baseURL))
	if err != nil {
		return err
	}
	token, err := client.Tokens.GetTokenCurrent(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("Token %q may purge keys of %q: %t\n", token.ID, service, token.Allows(fastly.ScopePurgeSelect, service))
	return nil
}
