package fastly_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// tracer stands for the RoundTripper of a tracing library. It sees each attempt
// with its credentials: it must not record headers or bodies.
type tracer struct {
	next http.RoundTripper
	sent atomic.Int64
}

func (t *tracer) RoundTrip(req *http.Request) (*http.Response, error) {
	n := t.sent.Add(1)
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		fmt.Printf("%d: %s %s: no response\n", n, req.Method, req.URL.Path)
		return nil, err
	}
	fmt.Printf("%d: %s %s: %d\n", n, req.Method, req.URL.Path, resp.StatusCode)
	return resp, nil
}

func ExampleWithHTTPClient() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: http.StatusBadGateway})

	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = http.ProxyFromEnvironment // or http.ProxyURL(u)
	trace := &tracer{next: transport}
	client, err := fastly.NewClient(
		fastly.WithHTTPClient(&http.Client{Transport: trace, Timeout: 10 * time.Second}),
		fastly.WithAPIKey(srv.Key().Reveal()),
		fastly.WithBaseURL(srv.URL),
		fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: time.Millisecond}),
	)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.Tokens.ListTokensUser(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("sent:", trace.sent.Load())
	// Output:
	// 1: GET /tokens: 502
	// 2: GET /tokens: 200
	// sent: 2
}
