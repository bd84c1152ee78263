package demo

import (
	"fmt"
	"io"
	"os"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// Vars are the environment variables that [fastly.NewClientFromEnv] reads.
// Tests that run a program unset them, so that none reaches a real account.
var Vars = []string{"FASTLY_API_TOKEN", "FASTLY_API_KEY", "FASTLY_API_URL"}

// Connector makes a client, and says which API it talks to in one line on
// stderr. The server is that of the demo, to be closed by the caller, and nil
// if the client talks to a real one.
type Connector func(forceDemo bool, stderr io.Writer, opts ...fastly.Option) (*fastly.Client, *fastlytest.Server, error)

// Client is the [Connector] of the programs. It uses [fastly.NewClientFromEnv]
// if the environment has credentials, and otherwise, or with forceDemo, the
// embedded server that [Start] starts. With forceDemo the environment is not
// looked at at all.
func Client(forceDemo bool, stderr io.Writer, opts ...fastly.Option) (*fastly.Client, *fastlytest.Server, error) {
	if !forceDemo && HasCredentials() {
		client, err := fastly.NewClientFromEnv(opts...)
		if err != nil {
			return nil, nil, err
		}
		_, err = fmt.Fprintf(stderr, "Using the API at %s, with the credentials of the environment.\n", Text(BaseURL()))
		return client, nil, err
	}
	why := "FASTLY_API_TOKEN is not set"
	if forceDemo {
		why = "-demo"
	}
	if _, err := fmt.Fprintf(stderr, "Using an embedded server with made-up tokens (%s); nothing leaves this machine.\n", why); err != nil {
		return nil, nil, err
	}
	srv := Start()
	client, err := fastly.NewClient(append([]fastly.Option{fastly.WithAPIKey(srv.Key().Reveal()), fastly.WithBaseURL(srv.URL)}, opts...)...)
	if err != nil {
		srv.Close()
		return nil, nil, err
	}
	return client, srv, nil
}

// To returns a [Connector] for tests: it talks to srv as if that was a real API
// and says nothing.
func To(srv *fastlytest.Server, more ...fastly.Option) Connector {
	return func(_ bool, _ io.Writer, opts ...fastly.Option) (*fastly.Client, *fastlytest.Server, error) {
		opts = append(append([]fastly.Option{fastly.WithAPIKey(srv.Key().Reveal()), fastly.WithBaseURL(srv.URL)}, opts...), more...)
		client, err := fastly.NewClient(opts...)
		return client, nil, err
	}
}

// HasCredentials reports whether the environment has an API token.
func HasCredentials() bool {
	return os.Getenv("FASTLY_API_TOKEN") != "" || os.Getenv("FASTLY_API_KEY") != ""
}

// BaseURL is the base URL that [fastly.NewClientFromEnv] uses.
func BaseURL() string {
	if rawURL := os.Getenv("FASTLY_API_URL"); rawURL != "" {
		return rawURL
	}
	return fastly.DefaultBaseURL
}
