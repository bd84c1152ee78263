package fastlytest

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/fastly-tokens/fastly"
)

func TestNewServerStartsWithOneUserAndKey(t *testing.T) {
	t.Parallel()
	s := NewServer()
	defer s.Close()
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, s.URL)
	assert.Regexp(t, `^[A-Za-z0-9_-]{32}$`, s.Key().Reveal())
	require.Len(t, s.Tokens(), 1)
	seeded := s.Tokens()[0]
	assert.Equal(t, s.Key(), seeded.AccessToken)
	assert.Equal(t, s.User().ID, seeded.UserID)
	assert.Equal(t, s.User().CustomerID, seeded.CustomerID)
	assert.WithinDuration(t, time.Now(), seeded.CreatedAt, time.Minute)
	assert.Empty(t, s.Requests())
}

func TestCloseTwice(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.Close()
	a.Close()
	_, err := a.do("GET", "/tokens")
	require.Error(t, err)
	assert.Len(t, a.Tokens(), 1, "what it knew can still be looked at")
}

// A client that opens a connection and says nothing, or half a request, must
// not keep Close waiting.
func TestCloseWithSilentClients(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, text := range []string{"", "POST /tok", "POST /tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(a.URL, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.Write([]byte(text))
		require.NoError(t, err)
	}
	a.closesSoon()
}

// closesSoon closes the server, and fails if that waits for a client.
func (a *api) closesSoon() {
	a.t.Helper()
	closed := make(chan struct{})
	go func() {
		a.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(soon):
		require.Fail(a.t, "Close waits for a client")
	}
}

// Over HTTP/2 a request outlives its connection.
func TestCloseWaitsForRequestsThatAreServed(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, newAPI func(*testing.T, ...Option) *api) {
		var slow, served atomic.Bool
		busy, release := make(chan struct{}), make(chan struct{})
		a := newAPI(t, WithClock(func() time.Time {
			if slow.Swap(false) {
				close(busy)
				<-release
				served.Store(true)
			}
			return start
		}))
		slow.Store(true)
		var client sync.WaitGroup
		client.Go(func() { _, _ = a.do("GET", "/tokens") })
		<-busy
		time.AfterFunc(30*time.Millisecond, func() { close(release) })
		a.closesSoon()
		assert.True(t, served.Load(), "closed, and a request is still being served")
		client.Wait()
	})
}

// Not parallel: other tests' goroutines would be taken for the server's.
func TestCloseLeavesNoGoroutine(t *testing.T) {
	for name, newAPI := range protocols {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			a := newAPI(t)
			a.Inject(Fault{Kind: Stall})
			a.Inject(Fault{Kind: StallAfter})
			a.Inject(Fault{Kind: StallMiddle})
			a.Inject(Fault{Kind: Endless})
			var clients sync.WaitGroup
			for range 5 {
				clients.Go(func() { _, _ = a.do("GET", "/tokens", key(a.Key())) })
			}
			require.Eventually(t, func() bool { return len(a.Requests()) == 5 }, soon, time.Millisecond)
			a.closesSoon()
			clients.Wait()
			a.hc.CloseIdleConnections()
			assert.Eventually(t, func() bool { return goleak.Find(before) == nil }, soon, time.Millisecond)
		})
	}
}

func TestServerSpeaksHTTP1AndHTTP2OnOnePort(t *testing.T) {
	t.Parallel()
	a, b := newAPI(t), newHTTP2API(t)
	b.URL = a.URL
	for proto, client := range map[int]*api{1: a, 2: b} {
		for range 2 {
			r := client.send("GET", "/tokens/self", key(a.Key()))
			assert.Equal(t, 200, r.status, r.body)
			assert.Equal(t, proto, r.proto)
		}
	}
	assert.Len(t, a.Requests(), 4)
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo())
	const workers, rounds = 8, 10
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			u := a.AddUser(User{Superuser: true})
			k := a.token(u.ID, fmt.Sprintf("w%d", i))
			for range rounds {
				r, err := a.do("POST", "/tokens", key(k), form("services[]", "S1"))
				if !assert.NoError(t, err) || !assert.Equal(t, 200, r.status, r.body) {
					return
				}
				var token struct{ ID string }
				assert.NoError(t, json.Unmarshal([]byte(r.body), &token))
				id := token.ID
				r, err = a.do("GET", "/customer/"+u.CustomerID+"/tokens", key(k))
				assert.NoError(t, err)
				assert.Contains(t, r.body, id)
				r, err = a.do("DELETE", "/tokens", key(k), bulk(id))
				assert.NoError(t, err)
				assert.Equal(t, 204, r.status)
				a.Inject(Fault{Kind: Status, Path: "/nothing"})
				a.Advance(time.Millisecond)
				a.Tokens()
				a.Requests()
				a.User()
				a.Token(id)
			}
		})
	}
	wg.Wait()
	assert.Len(t, a.Tokens(), 1+workers+workers*rounds)
	assert.Len(t, a.Requests(), workers*rounds*3)
}

func TestClientIsReady(t *testing.T) {
	t.Parallel()
	srv := NewServer()
	defer srv.Close()
	current, err := srv.Client().Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, srv.User().ID, current.UserID)
}

func TestClientOptionsTakePrecedence(t *testing.T) {
	t.Parallel()
	srv := NewServer()
	defer srv.Close()
	_, err := srv.Client(fastly.WithAPIKey("unknown")).Tokens.GetTokenCurrent(t.Context())
	require.ErrorIs(t, err, fastly.ErrUnauthorized)
	basic := srv.Client(fastly.WithBasicAuth(srv.User().Login, srv.User().Password))
	_, err = basic.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	require.NoError(t, err, "another way of authentication")
	last := srv.Requests()[1]
	assert.Empty(t, last.Header.Get("Fastly-Key"))
	assert.Panics(t, func() { srv.Client(fastly.WithBaseURL("://")) })
}

// TestEveryMethodWorksWithTheServer is the client library and the server in agreement.
func TestEveryMethodWorksWithTheServer(t *testing.T) {
	t.Parallel()
	srv := NewServer()
	defer srv.Close()
	tokens := srv.Client().Tokens
	ctx := t.Context()

	u := srv.AddUser(User{OTP: "123456"})
	req := &fastly.CreateTokenRequest{
		Name: "n", Services: []string{"S1"}, Username: u.Login, Password: fastly.Secret(u.Password), OTP: "123456",
	}
	created, err := tokens.CreateToken(ctx, req)
	require.NoError(t, err)
	kept, ok := srv.Token(created.ID)
	require.True(t, ok)
	assert.Equal(t, kept.AccessToken, created.AccessToken)
	assert.Equal(t, u.ID, created.UserID)
	_, err = tokens.CreateToken(ctx, &fastly.CreateTokenRequest{Username: u.Login, Password: fastly.Secret(u.Password)})
	require.ErrorIs(t, err, fastly.ErrOTPRequired)
	_, err = tokens.CreateToken(ctx, &fastly.CreateTokenRequest{})
	require.ErrorIs(t, err, fastly.ErrSudoRequired)

	got, err := tokens.GetToken(ctx, created.ID)
	require.NoError(t, err)
	assert.Equal(t, []string{"S1"}, got.Services)
	all, err := tokens.ListTokensCustomer(ctx, u.CustomerID)
	require.NoError(t, err)
	assert.Len(t, all, 2)
	own, err := tokens.ListTokensUser(ctx)
	require.NoError(t, err)
	assert.Len(t, own, 1)

	second, err := tokens.CreateToken(ctx, req)
	require.NoError(t, err)
	require.NoError(t, tokens.BulkRevokeTokens(ctx, []string{created.ID, second.ID}))
	require.ErrorIs(t, tokens.RevokeToken(ctx, second.ID), fastly.ErrNotFound)
	require.NoError(t, tokens.RevokeTokenCurrent(ctx))
	_, err = tokens.GetTokenCurrent(ctx)
	require.ErrorIs(t, err, fastly.ErrUnauthorized)
}
