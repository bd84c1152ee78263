package fastlytest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

func TestUnusableOptionsPanic(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Option{
		"nil":        nil,
		"clock":      WithClock(nil),
		"rate limit": WithRateLimit(-1),
		"latency":    WithLatency(-1),
		"lag":        WithLag(-1),
	} {
		assert.Panics(t, func() { NewServer(o) }, name)
	}
}

func TestListenerIsServedAndClosed(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	a := newAPI(t, WithListener(l))
	assert.Equal(t, "http://"+l.Addr().String(), a.URL)
	assert.Equal(t, 200, a.send("GET", "/tokens/self", key(a.Key())).status)
	a.Close()
	_, err = l.Accept()
	assert.ErrorIs(t, err, net.ErrClosed)
}

func TestLatencyDelaysTheResponseOnly(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo(), WithLatency(50*time.Millisecond))
	began := time.Now()
	assert.Equal(t, 200, a.send("POST", "/tokens", key(a.Key())).status)
	assert.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)

	// The request of a client that leaves meanwhile is processed.
	slow := newAPI(t, WithLatency(time.Hour))
	leave := slow.startCreate()
	require.Eventually(t, slow.created, soon, time.Millisecond)
	require.ErrorIs(t, leave(), context.Canceled)
	assert.Zero(t, slow.last().Status)
}

func TestClockAndAdvanceDateEverything(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := start
	a := newAPI(t, WithClock(func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now.In(time.FixedZone("", 7200))
	}))
	created := func() any {
		r := a.send("POST", "/tokens", loggedIn(a.User()))
		date, err := http.ParseTime(r.header.Get("Date"))
		require.NoError(t, err)
		assert.Equal(t, a.now(), date, "as the rate limit's reset")
		return decode[map[string]any](t, r)["created_at"]
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

func TestRateLimitCountsNonReadRequestsByTheHour(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithRateLimit(4))
	u := a.User()
	check := func(r reply, status, remaining int, reset time.Time) {
		t.Helper()
		assert.Equal(t, status, r.status, r.body)
		assert.Equal(t, strconv.Itoa(remaining), r.header.Get("Fastly-RateLimit-Remaining"))
		assert.Equal(t, fmt.Sprint(reset.Unix()), r.header.Get("Fastly-RateLimit-Reset"))
	}
	end := start.Truncate(time.Hour).Add(time.Hour)
	check(a.send("POST", "/tokens", loggedIn(u)), 200, 3, end)
	check(a.send("DELETE", "/tokens/none", key(a.Key())), 404, 2, end)
	for _, path := range []string{"/tokens", "/tokens/self", "/tokens/none", "/customer/" + u.CustomerID + "/tokens"} {
		r := a.send("GET", path, key(a.Key()))
		assert.Empty(t, r.header.Get("Fastly-RateLimit-Remaining"), "reads do not count")
		assert.Empty(t, r.header.Get("Fastly-RateLimit-Reset"))
	}
	check(a.send("POST", "/tokens", key(a.Key())), 403, 1, end)
	check(a.send("POST", "/sudo", key(a.Key()), loggedIn(u)), 200, 0, end)

	for _, credentials := range []mod{key(a.Key()), basic(u.Login, u.Password), loggedIn(u)} {
		r := a.send("POST", "/tokens", credentials)
		check(r, 429, 0, end)
		assert.JSONEq(t, `{"msg":"You have exceeded your hourly rate limit. Please contact support@fastly.com if you think this is a mistake."}`, r.body)
	}
	check(a.send("DELETE", "/tokens/self", key(a.Key())), 429, 0, end)
	assert.Equal(t, 200, a.send("GET", "/tokens/self", key(a.Key())).status)
	colleague := a.token(a.AddUser(User{}).ID, "T1")
	check(a.send("DELETE", "/tokens/self", key(colleague)), 429, 0, end)
	check(a.send("DELETE", "/tokens/self", key(a.token("", "T2"))), 429, 0, end)
	stranger := a.token(a.AddUser(User{CustomerID: "other"}).ID, "T3")
	check(a.send("DELETE", "/tokens/self", key(stranger)), 204, 3, end)

	a.Advance(end.Sub(start) - time.Second)
	check(a.send("POST", "/tokens", loggedIn(u)), 429, 0, end)
	a.Advance(time.Second)
	check(a.send("POST", "/tokens", loggedIn(u)), 200, 3, end.Add(time.Hour))
	assert.Len(t, a.Tokens(), 6, "a 429 is not processed")
}

func TestReadsAreLimitedIfAskedFor(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithRateLimit(1), WithLimitedReads())
	read := func(status int, remaining string) {
		t.Helper()
		for _, path := range []string{"/tokens", "/tokens/self", "/tokens/none", "/current_user"} {
			r := a.send("GET", path, key(a.Key()))
			if status != 429 {
				assert.NotEqual(t, 429, r.status, "%s does not count", path)
			} else {
				assertProblem(t, r, 429, "hourly rate limit")
			}
			assert.Equal(t, remaining, r.header.Get("Fastly-RateLimit-Remaining"))
		}
	}
	read(200, "")
	assert.Equal(t, 404, a.send("DELETE", "/tokens/none", key(a.Key())).status)
	read(429, "0")
	a.Advance(time.Hour)
	read(200, "")
}

func TestReadsLagBehindCreatesAndRevokes(t *testing.T) {
	t.Parallel()
	const lag = 20 * time.Second
	a := newAPI(t, WithLag(lag))
	list := func() []string { return ids(t, a.send("GET", "/tokens", key(a.Key()))) }
	seen := func(made fastly.TokenCreatedResponse, want bool) {
		t.Helper()
		get := a.send("GET", "/tokens/"+made.ID, key(a.Key()))
		self := a.send("GET", "/tokens/self", key(made.AccessToken))
		customer := ids(t, a.send("GET", "/customer/"+a.User().CustomerID+"/tokens", key(a.Key())))
		if want {
			assert.Equal(t, []int{200, 200}, []int{get.status, self.status})
			assert.Contains(t, list(), made.ID)
			assert.Contains(t, customer, made.ID)
			return
		}
		assertProblem(t, get, 404, "Record not found")
		assertProblem(t, self, 401, "missing or invalid")
		assert.NotContains(t, list(), made.ID)
		assert.NotContains(t, customer, made.ID)
	}
	create := func() fastly.TokenCreatedResponse { return a.made(a.send("POST", "/tokens", loggedIn(a.User()))) }

	made := create()
	seen(made, false)
	a.Advance(lag - 1)
	seen(made, false)
	a.Advance(1)
	seen(made, true)

	for _, revoke := range []func() reply{
		func() reply { return a.send("DELETE", "/tokens/"+made.ID, key(a.Key())) },
		func() reply { return a.send("DELETE", "/tokens", key(a.Key()), bulk(made.ID)) },
		func() reply { return a.send("DELETE", "/tokens/self", key(made.AccessToken)) },
	} {
		assert.Equal(t, 204, revoke().status)
		assertProblem(t, a.send("GET", "/tokens/"+made.ID, key(a.Key())), 404, "Record not found")
		assertProblem(t, a.send("GET", "/tokens/self", key(made.AccessToken)), 401, "missing or invalid")
		assert.Contains(t, list(), made.ID, "lists still have it")
		a.Advance(lag)
		assert.NotContains(t, list(), made.ID)
		made = create()
		a.Advance(lag)
	}

	made = create()
	assert.Equal(t, 204, a.send("DELETE", "/tokens/"+made.ID, key(a.Key())).status, "what no read shows is revoked all the same")
	assert.True(t, a.revoked(made.ID))
	a.token(a.User().ID, "added")
	assert.Contains(t, list(), "added", "AddToken does not lag")
}

func TestRateLimitOfZeroAllowsNothing(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithRateLimit(0))
	assert.Equal(t, http.StatusTooManyRequests, a.send("POST", "/tokens", key(a.Key())).status)
}
