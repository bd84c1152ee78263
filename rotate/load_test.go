package rotate_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/rotate"
)

// TestServiceUnderLoadSeesNoFailureInTenRotations has 16 goroutines send
// requests with the key of a file, while its token is rotated. In a bubble of
// testing/synctest the grace period is over once no request is in flight that
// began before it, however slow the machine is.
func TestServiceUnderLoadSeesNoFailureInTenRotations(t *testing.T) {
	t.Parallel()
	const goroutines, rotations = 16, 10
	// Each is one that some request of a rotation meets, or one of the service.
	// Two in a row are fewer than the service's attempts.
	faults := []fastlytest.Fault{
		{Kind: fastlytest.CutAfter, Method: "POST"},
		{Kind: fastlytest.Status, Path: "/tokens/self", Times: 2},
		{Kind: fastlytest.CutMiddle, Method: "POST"},
		{Kind: fastlytest.CutAfter, Method: "DELETE"},
		{Kind: fastlytest.CutBefore, Path: "/tokens/self", Times: 2},
		{Kind: fastlytest.StallAfter, Method: "POST", Delay: time.Millisecond},
		{Kind: fastlytest.CutMiddle, Path: "/tokens"},
		{Kind: fastlytest.StallAfter, Method: "DELETE", Delay: time.Millisecond},
		{Kind: fastlytest.StatusAfter, Method: "POST"},
		{Kind: fastlytest.Delay, Path: "/tokens/self", Delay: time.Millisecond, Times: 2},
	}
	a := newAPI(t)
	user := a.AddUser(fastlytest.User{})
	key := a.AddToken(user.ID, fastly.TokenCreatedResponse{})
	old := a.AddToken(user.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		Name: "purger", Scopes: fastly.Scopes{fastly.ScopePurgeSelect}, Services: []string{service},
	}})
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte(old.AccessToken.Reveal()), 0o600))
	var requests atomic.Int64
	seen := sync.Map{} // IDs of the tokens that the service used

	synctest.Test(t, func(t *testing.T) {
		hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		connect := func(auth fastly.Option) (*fastly.Client, error) {
			return fastly.NewClient(auth, fastly.WithBaseURL(a.URL), fastly.WithHTTPClient(hc))
		}
		client := func(auth fastly.Option) *fastly.Client {
			c, err := connect(auth)
			require.NoError(t, err)
			return c
		}
		ctx, stop := context.WithCancel(t.Context())
		var service sync.WaitGroup
		for i := range goroutines {
			c := client(fastly.WithAPIKeyFunc(fastly.KeyFile(path)))
			service.Go(func() {
				for ctx.Err() == nil {
					token, err := c.Tokens.GetTokenCurrent(t.Context())
					requests.Add(1)
					if !assert.NoError(t, err, "a request of the service failed") {
						return
					}
					seen.Store(token.ID, true)
					time.Sleep(time.Duration(10+i) * time.Millisecond)
				}
			})
		}

		id := old.ID
		for i := range rotations {
			a.Inject(faults[i])
			r := rotate.Rotation{
				Client: client(fastly.WithAPIKey(key.AccessToken.Reveal())), TokenID: id,
				Login: func(context.Context) (rotate.Login, error) {
					return rotate.Login{Username: user.Login, Password: fastly.Secret(user.Password)}, nil
				},
				Connect:  func(key fastly.Secret) (*fastly.Client, error) { return connect(fastly.WithAPIKey(key.Reveal())) },
				Handover: rotate.WriteFile(path),
				Journal:  rotate.FileJournal(path + ".journal"),
				Grace:    time.Second / 4,
			}
			result, err := r.Run(t.Context())
			require.NoError(t, err, "rotation %d", i+1)
			_, used := seen.Load(result.New.ID)
			assert.True(t, used, "rotation %d: the service should have taken the new token during the grace period", i+1)
			id = result.New.ID
		}
		stop()
		service.Wait()
	})

	alive := a.alive(user.ID)
	assert.Len(t, alive, 2, "want the key and the last token")
	t.Logf("%d requests of %d goroutines, %d rotations", requests.Load(), goroutines, rotations)
}
