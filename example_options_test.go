package fastly_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// A program that runs for long makes itself a new key from time to time, and its
// client goes on with that one.
func ExampleWithAPIKeyFunc() {
	srv := fastlytest.NewServer()
	defer srv.Close()

	var current atomic.Pointer[fastly.Secret]
	key := srv.Key()
	current.Store(&key)
	client, err := fastly.NewClient(
		fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) {
			return *current.Load(), nil // or read a file, or ask a vault
		}),
		fastly.WithBaseURL(srv.URL),
	)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	old, err := client.Tokens.GetTokenCurrent(ctx)
	if err != nil {
		log.Fatal(err)
	}
	created, err := client.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{Name: "rotated"})
	if err != nil {
		log.Fatal(err)
	}
	current.Store(&created.AccessToken)
	if err := client.Tokens.RevokeToken(ctx, old.ID); err != nil {
		log.Fatal(err)
	}

	now, err := client.Tokens.GetTokenCurrent(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(old.Name, "->", now.Name)
	// Output:
	// default -> rotated
}

// The first token of an account's user: a password makes it, and is not needed
// again.
func ExampleWithBasicAuth() {
	srv := fastlytest.NewServer()
	defer srv.Close()

	login, err := fastly.NewClient(
		fastly.WithBasicAuth(srv.User().Login, srv.User().Password),
		fastly.WithBaseURL(srv.URL),
	)
	if err != nil {
		log.Fatal(err)
	}
	created, err := login.Tokens.CreateToken(context.Background(), &fastly.CreateTokenRequest{Name: "laptop"})
	if err != nil {
		log.Fatal(err)
	}
	client, err := fastly.NewClient(
		fastly.WithAPIKey(created.AccessToken.Reveal()),
		fastly.WithBaseURL(srv.URL),
	)
	if err != nil {
		log.Fatal(err)
	}
	self, err := client.Tokens.GetTokenCurrent(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(self.Name)
	// Output:
	// laptop
}

func ExampleWithLogger() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: http.StatusServiceUnavailable})

	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if slices.Contains([]string{slog.TimeKey, "duration", "wait"}, a.Key) {
				return slog.Attr{} // leave out what is never the same twice
			}
			return a
		},
	}))
	client, err := fastly.NewClient(
		fastly.WithAPIKey(srv.Key().Reveal()),
		fastly.WithBaseURL(srv.URL),
		fastly.WithLogger(logger),
		fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: time.Millisecond}),
	)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.Tokens.GetTokenCurrent(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// level=DEBUG msg="fastly: attempt" method=GET path=/tokens/self status=503 outcome="server busy" attempt=1
	// level=DEBUG msg="fastly: attempt" method=GET path=/tokens/self status=200 outcome=done attempt=2
}

func ExampleWithRetryPolicy() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: http.StatusBadGateway, Times: 4})
	ctx := context.Background()

	once := srv.Client(fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 1}))
	_, err := once.Tokens.GetTokenCurrent(ctx)
	fmt.Println(err)

	// For a job that has time: more attempts, and if the API asks for it a wait
	// of up to an hour, which is when the rate limit resets.
	patient := srv.Client(fastly.WithRetryPolicy(fastly.RetryPolicy{
		MaxAttempts: 10,
		MinBackoff:  time.Millisecond, // 250 ms if left out
		MaxWait:     time.Hour,
	}))
	token, err := patient.Tokens.GetTokenCurrent(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Name, "after", len(srv.Requests())-1, "attempts")
	// Output:
	// fastly: GET /tokens/self: 502 Bad Gateway
	// default after 4 attempts
}

// The transports work without a Client, for what else there is in the API.
func ExampleAPIKeyTransport() {
	srv := fastlytest.NewServer()
	defer srv.Close()

	hc := &http.Client{
		Transport: &fastly.APIKeyTransport{
			Key:  srv.Key(),
			Host: strings.TrimPrefix(srv.URL, "http://"), // left out, it is api.fastly.com
		},
		Timeout: time.Minute,
	}
	ctx := context.Background()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/tokens/self", nil)
	if err != nil {
		log.Fatal(err)
	}
	resp, err := hc.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	var self fastly.TokenResponse
	err = json.NewDecoder(resp.Body).Decode(&self)
	if err := resp.Body.Close(); err != nil {
		log.Fatal(err)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.StatusCode, self.Name, self.Scopes)
	// Output:
	// 200 default global
}
