package fastly_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// A program that runs for long replaces its key from time to time. Its client
// uses the new one from the next request on. For a key in a file see [KeyFile].
func ExampleWithAPIKeyFunc() {
	srv := fastlytest.NewServer()
	defer srv.Close()

	var current atomic.Pointer[fastly.Secret]
	key := srv.Key()
	current.Store(&key)
	client, err := fastly.NewClient(
		fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) {
			return *current.Load(), nil // or ask a vault
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
	created, err := client.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
		Name:     "rotated",
		Username: srv.User().Login,
		Password: fastly.Secret(srv.User().Password),
	})
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

// A user who has no token yet creates one with the password, which is not needed
// afterwards.
func ExampleWithoutAuthentication() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	ctx := context.Background()

	login, err := fastly.NewClient(
		fastly.WithoutAuthentication(),
		fastly.WithBaseURL(srv.URL),
	)
	if err != nil {
		log.Fatal(err)
	}
	created, err := login.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
		Name:     "laptop",
		Username: srv.User().Login,
		Password: fastly.Secret(srv.User().Password),
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = login.Tokens.GetTokenCurrent(ctx)
	fmt.Println("without a key:", errors.Is(err, fastly.ErrInvalidArgument))

	client, err := fastly.NewClient(
		fastly.WithAPIKey(created.AccessToken.Reveal()),
		fastly.WithBaseURL(srv.URL),
	)
	if err != nil {
		log.Fatal(err)
	}
	self, err := client.Tokens.GetTokenCurrent(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("with the key:", self.Name)
	// Output:
	// without a key: true
	// with the key: laptop
}

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
				return slog.Attr{} // what differs from run to run
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
	// level=DEBUG msg="fastly: attempt" method=GET path=/tokens/self status=503 outcome="server error" attempt=1
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

	// For a job that has time: more attempts, and waits of up to an hour, by
	// which time the rate limit has been reset.
	patient := srv.Client(fastly.WithRetryPolicy(fastly.RetryPolicy{
		MaxAttempts: 10,
		MinBackoff:  time.Millisecond, // default 250 ms
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
