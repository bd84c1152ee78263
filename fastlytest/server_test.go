package fastlytest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

func TestNewServer(t *testing.T) {
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

func TestUnusableOptionsPanic(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Option{
		"nil":        nil,
		"clock":      WithClock(nil),
		"rate limit": WithRateLimit(-1),
		"latency":    WithLatency(-1),
	} {
		assert.Panics(t, func() { NewServer(o) }, name)
	}
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
	began := time.Now()
	a.Close()
	assert.Less(t, time.Since(began), 3*time.Second)
}

func TestLatency(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithLatency(50*time.Millisecond))
	began := time.Now()
	assert.Equal(t, 200, a.send("POST", "/tokens", key(a.Key())).status)
	assert.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)

	// A client that leaves meanwhile has its request carried out.
	slow := newAPI(t, WithLatency(time.Hour))
	leave := slow.startCreate()
	require.Eventually(t, slow.created, 5*time.Second, time.Millisecond)
	require.ErrorIs(t, leave(), context.Canceled)
	assert.Zero(t, slow.last().Status)
}

func TestClock(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := start
	a := newAPI(t, WithClock(func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now.In(time.FixedZone("", 7200))
	}))
	created := func() any {
		return decode[map[string]any](t, a.send("POST", "/tokens", key(a.Key())))["created_at"]
	}
	assert.Equal(t, "2030-05-06T07:30:00Z", created())
	mu.Lock()
	now = now.Add(time.Minute)
	mu.Unlock()
	assert.Equal(t, "2030-05-06T07:31:00Z", created())
	a.Advance(time.Hour)
	a.Advance(time.Second)
	assert.Equal(t, "2030-05-06T08:31:01Z", created())
}

func TestRequests(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.send("POST", "/tokens", key(a.Key()), form("name", "n"))
	a.send("GET", "/tokens/%41?q=1", key("secret"))
	a.send("POST", "/tokens", body("", strings.Repeat("x", maxBody+1)))
	all := a.Requests()
	require.Len(t, all, 3)
	first := all[0]
	assert.Equal(t, start, first.Time)
	assert.Equal(t, "POST", first.Method)
	assert.Equal(t, "/tokens", first.Path)
	assert.Equal(t, "name=n", string(first.Body))
	assert.Equal(t, 200, first.Status)
	assert.Empty(t, first.Fault)
	assert.Equal(t, "tester/1", first.Header.Get("User-Agent"))
	_, _, err := net.SplitHostPort(first.RemoteAddr)
	require.NoError(t, err)
	assert.Equal(t, "/tokens/%41", all[1].Path)
	assert.Equal(t, "q=1", all[1].Query)
	assert.Equal(t, 404, all[1].Status)
	assert.Len(t, all[2].Body, maxBody)
	assert.Equal(t, 413, all[2].Status)

	first.Header.Set("User-Agent", "changed")
	first.Body[0] = 'X'
	again := a.Requests()[0]
	assert.Equal(t, "tester/1", again.Header.Get("User-Agent"))
	assert.Equal(t, "name=n", string(again.Body))

	a.ResetRequests()
	assert.Empty(t, a.Requests())
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
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

// FuzzCall looks for requests that make the API panic.
func FuzzCall(f *testing.F) {
	f.Add("POST", "/tokens", "application/x-www-form-urlencoded", "name=a&scope=global&expires_at=2031-01-02T02:04:05Z", "key", "Basic YTpi", "1")
	f.Add("POST", "/tokens", "application/x-www-form-urlencoded", "username=owner&password=p", "", "", "000000")
	f.Add("DELETE", "/tokens", bulkType, `{"data":[{"type":"token","id":"T"}]}`, "key", "", "")
	f.Add("GET", "/tokens/T", "", "", "key", "", "")
	f.Add("GET", "/customer/c/tokens", "", "", "key", "", "")
	f.Add("POST", "/sudo", "application/x-www-form-urlencoded", "username=owner&password=p", "key", "", "")
	f.Fuzz(func(t *testing.T, method, path, contentType, body, key, authorization, otp string) {
		st := newState(10)
		u := st.addUser(User{CustomerID: "c", Login: "owner", Password: "p", Superuser: true, TOTPSecret: "JBSWY3DP"})
		st.addToken(u, fastly.TokenCreatedResponse{
			TokenResponse: fastly.TokenResponse{ID: "T"}, AccessToken: "key",
		}, start)
		a := st.do(&call{
			now: start, method: method, path: path, body: []byte(body), ip: "192.0.2.1",
			header: http.Header{
				"Content-Type": {contentType}, "Fastly-Key": {key}, "Authorization": {authorization}, "Fastly-Otp": {otp},
			},
		})
		if a.status < 200 || a.status >= 500 {
			t.Errorf("status %d", a.status)
		}
	})
}
