package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/rotate"
)

// A service reads its API key from a file. The token is rotated ten times while 16
// goroutines send requests with the key, and responses get lost.
//
// Here the rotation runs in the process of the service, and waits for requests
// in flight before it revokes the old token. A rotation elsewhere has a grace
// period instead: Rotation.Grace.
func ExampleRotation() {
	srv := fastlytest.NewServer() // stands in for the API
	defer srv.Close()
	user := srv.User()
	dir, err := os.MkdirTemp("", "service-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "fastly-token")
	token := srv.AddToken(user.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		Name: "purger", Scopes: fastly.Scopes{fastly.ScopePurgeSelect},
	}})
	if err := os.WriteFile(path, []byte(token.AccessToken.Reveal()), 0o600); err != nil {
		log.Fatal(err)
	}

	client, err := fastly.NewClient(fastly.WithAPIKeyFunc(fastly.KeyFile(path)), fastly.WithBaseURL(srv.URL))
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()
	ctx, stop := context.WithCancel(context.Background())
	var inFlight sync.RWMutex
	var failed atomic.Int64
	var service sync.WaitGroup
	for range 16 {
		service.Go(func() {
			for ctx.Err() == nil {
				inFlight.RLock()
				if _, err := client.Tokens.GetTokenCurrent(context.Background()); err != nil {
					failed.Add(1)
				}
				inFlight.RUnlock()
			}
		})
	}

	admin := srv.Client()
	defer admin.CloseIdleConnections()
	handover := rotate.WriteFile(path)
	write := handover.Put
	handover.Put = func(ctx context.Context, token *fastly.TokenCreatedResponse) error {
		err := write(ctx, token)
		inFlight.Lock() // until the requests with the old token are done
		defer inFlight.Unlock()
		return err
	}
	rotation := rotate.Rotation{
		Client:  admin,
		TokenID: token.ID,
		Login: func(context.Context) (rotate.Login, error) {
			return rotate.Login{Username: user.Login, Password: fastly.Secret(user.Password)}, nil
		},
		Handover: handover,
		Journal:  rotate.FileJournal(filepath.Join(dir, "rotation")),
	}
	for range 10 {
		srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: "POST"})
		result, err := rotation.Run(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		rotation.TokenID = result.New.ID
	}
	stop()
	service.Wait()

	working := 0
	for _, t := range srv.Tokens() {
		if rotate.BaseName(t.Name) == "purger" && t.DeletedAt.IsZero() {
			working++
		}
	}
	fmt.Println("failed requests:", failed.Load())
	fmt.Println("tokens left:", working)
	// Output:
	// failed requests: 0
	// tokens left: 1
}

// The response to the first create is lost. The token that it made is revoked,
// and another one created.
func ExampleCreate() {
	srv := fastlytest.NewServer()
	defer srv.Close()
	user := srv.User()
	srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: "POST"})
	login, err := fastly.NewClient(fastly.WithoutAuthentication(), fastly.WithBaseURL(srv.URL))
	if err != nil {
		log.Fatal(err)
	}
	defer login.CloseIdleConnections()
	cleanup := srv.Client() // a global key of the same user
	defer cleanup.CloseIdleConnections()

	created, err := rotate.Create(context.Background(), login, &fastly.CreateTokenRequest{
		Name:     "deploy",
		Scopes:   fastly.Scopes{fastly.ScopePurgeAll},
		Username: user.Login,
		Password: fastly.Secret(user.Password),
	}, cleanup)
	var failure *rotate.CreateError
	switch {
	case errors.As(err, &failure) && (failure.Unknown || len(failure.Left) > 0):
		log.Fatalf("look for tokens named %q: %v", failure.Name, err)
	case err != nil:
		log.Fatal(err)
	}

	for _, t := range srv.Tokens() {
		if rotate.BaseName(t.Name) == "deploy" {
			fmt.Println("in hand:", t.ID == created.ID, "- revoked:", !t.DeletedAt.IsZero())
		}
	}
	// Output:
	// in hand: false - revoked: true
	// in hand: true - revoked: false
}
