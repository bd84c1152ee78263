// Package soak_test runs random operations on many goroutines under random faults,
// and compares what the callers were told with what the server has in the end.
// TestSoak lets the server itself misbehave; .ci/soak puts real proxies before it.
package soak_test

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

var (
	soakSeed = flag.Uint64("soak.seed", envSeed(), "`seed` of the random numbers (default $FASTLY_SOAK_SEED, else a random one)")
	soakOps  = flag.Int("soak.ops", 0, "`number` of operations; 0 is the test's own")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func envSeed() uint64 {
	if seed, err := strconv.ParseUint(os.Getenv("FASTLY_SOAK_SEED"), 10, 64); err == nil {
		return seed
	}
	return rand.Uint64()
}

// TestSoak runs random operations under random faults, and at the end compares
// what was reported to the callers with what the server has.
func TestSoak(t *testing.T) {
	t.Parallel()
	t.Logf("seed %d: repeat with -soak.seed=%[1]d or FASTLY_SOAK_SEED=%[1]d (goroutines still run in random order)", *soakSeed)
	start, operations := time.Now(), cmp.Or(*soakOps, 1500)
	var followed atomic.Int64 // redirects
	trap := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == trapPath { // else it is for another server, which had the port before
			followed.Add(1)
		}
	}))
	t.Cleanup(trap.Close)
	srv := fastlytest.NewServer(fastlytest.WithoutSudo(), fastlytest.WithRateLimit(1<<30))
	l := newLedger(srv)
	l.run(t.Context(), 16, operations, func(n int) *worker {
		rnd := rand.New(rand.NewPCG(*soakSeed, uint64(n)))
		// A stall ends an attempt of some workers, and ends by itself for the others,
		// whose outcomes a busy machine does not change.
		timeout := time.Minute
		if n%4 == 0 {
			timeout = 60 * time.Millisecond
		}
		return &worker{
			ledger: l, url: srv.URL, n: n, rand: rnd,
			options: []fastly.Option{
				fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: time.Microsecond, MaxBackoff: time.Millisecond}),
				fastly.WithHTTPClient(&http.Client{Timeout: timeout}),
			},
			auth: func(key fastly.Secret) fastly.Option {
				if rnd.IntN(2) == 0 {
					return fastly.WithTransport(&fastly.APIKeyTransport{Key: key, Host: strings.TrimPrefix(srv.URL, "http://")})
				}
				return fastly.WithAPIKey(key.Reveal())
			},
			before: func() {
				if rnd.IntN(100) < 45 {
					srv.Inject(soakFault(rnd, trap.URL+trapPath)) // for the next request of any worker
				}
			},
		}
	})
	requests := len(srv.Requests())
	srv.Close() // which also ends requests that clients have abandoned

	assert.Zero(t, followed.Load(), "requests that followed a redirect")
	var text strings.Builder
	assert.Empty(t, l.report(&text))
	t.Logf("%d requests in %v\n%s", requests, time.Since(start).Round(time.Millisecond), &text)
	if operations >= 10000 {
		for what, n := range map[string]int{
			"tokens returned": len(l.returned), "creates of unknown outcome": len(l.unknown), "creates rejected": len(l.rejected),
			"revokes done": len(l.done), "revokes kept": len(l.kept), "revokes unclear": l.unclear,
		} {
			assert.Greater(t, n, 50, "%s: the soak was too easy", what)
		}
	}
}

const trapPath = "/trap" // where redirects lead

// soakFault returns a random fault, which may be a redirect to the trap. None says of
// a revoke what the API never says: that a token does not exist which does.
func soakFault(rnd *rand.Rand, trap string) fastlytest.Fault {
	const stall = 100 * time.Millisecond
	pick := func(statuses ...int) int { return statuses[rnd.IntN(len(statuses))] }
	method := []string{"GET", "POST", "DELETE", "DELETE", "POST"}[rnd.IntN(5)]
	switch n := rnd.IntN(100); {
	case n < 12:
		return fastlytest.Fault{Kind: fastlytest.CutBefore, Method: method}
	case n < 28:
		return fastlytest.Fault{Kind: fastlytest.CutAfter, Method: method}
	case n < 40:
		return fastlytest.Fault{Kind: fastlytest.CutMiddle, Method: method, Keep: rnd.IntN(400)}
	case n < 43:
		return fastlytest.Fault{Kind: fastlytest.Stall, Method: method, Delay: stall}
	case n < 47:
		return fastlytest.Fault{Kind: fastlytest.StallAfter, Method: method, Delay: stall}
	case n < 49:
		return fastlytest.Fault{Kind: fastlytest.StallMiddle, Method: method, Keep: rnd.IntN(400), Delay: stall}
	case n < 52:
		return fastlytest.Fault{Kind: fastlytest.Delay, Method: method, Delay: time.Duration(rnd.IntN(10)) * time.Millisecond}
	case n < 60:
		return fastlytest.Fault{Kind: fastlytest.Status, Method: method, Status: pick(500, 502, 503, 504)}
	case n < 68:
		return fastlytest.Fault{Kind: fastlytest.StatusAfter, Method: method, Status: pick(500, 502, 503, 504, 501, 520)}
	case n < 76:
		return fastlytest.Fault{Kind: fastlytest.Status, Method: method, Status: pick(400, 409, 422)}
	case n < 79: // an hour to wait
		return fastlytest.Fault{Kind: fastlytest.Status, Method: method, Status: 429}
	case n < 85:
		return fastlytest.Fault{Kind: fastlytest.Status, Method: method, Status: 429, Body: `{"msg":"slow down"}`, Header: http.Header{"Retry-After": {"0"}}}
	case n < 88:
		return fastlytest.Fault{Kind: fastlytest.Status, Method: notDelete(method), Status: pick(401, 403, 404)}
	case n < 92:
		return fastlytest.Fault{Kind: fastlytest.Status, Method: "POST", Status: pick(400, 500), Body: fmt.Sprintf(`{"msg":%q}`, "wrong: "+password)}
	case n < 96:
		return fastlytest.Fault{Kind: fastlytest.Garbage, Method: method}
	default:
		return fastlytest.Fault{Kind: fastlytest.Redirect, Method: method, Status: pick(301, 302, 303, 307, 308), Location: trap}
	}
}

// notDelete returns method, but POST instead of DELETE.
func notDelete(method string) string {
	if method == http.MethodDelete {
		return http.MethodPost
	}
	return method
}

func TestSoakSeedFromTheEnvironment(t *testing.T) {
	t.Setenv("FASTLY_SOAK_SEED", "12345678901234567890")
	require.Equal(t, uint64(12345678901234567890), envSeed())
	t.Setenv("FASTLY_SOAK_SEED", "")
	first, second := envSeed(), envSeed()
	require.NotEqual(t, first, second)
}
