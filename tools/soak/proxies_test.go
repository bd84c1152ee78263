package soak_test

import (
	"cmp"
	"context"
	"flag"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// .ci/soak installs these programs, and makes the folder.
var (
	work             = flag.String("soak.work", ".", "`folder` with cert.pem and key.pem, for nginx's files")
	nginxProgram     = flag.String("soak.nginx", "", "`program` of nginx; none skips the tests that need it")
	toxiproxyProgram = flag.String("soak.toxiproxy", "", "`program` of toxiproxy's server, likewise")
)

const goroutines = 64

// TestSoakOfCreatesThroughNginx creates tokens by one client without faults, but a
// stock nginx ends its HTTP/2 connections every 1,000 requests, which no caller may
// notice.
func TestSoakOfCreatesThroughNginx(t *testing.T) {
	soakThroughProxies(t, "", func(ctx context.Context, l *ledger, p *proxies) {
		client, err := fastly.NewClient(fastly.WithBaseURL(p.url), fastly.WithAPIKey(l.server.Key().Reveal()), fastly.WithLogger(l.logger))
		require.NoError(t, err)
		defer client.CloseIdleConnections()
		l.run(ctx, goroutines, cmp.Or(*soakOps, 20_000), func(n int) *worker {
			return &worker{ledger: l, n: n, shared: client}
		})
		assert.Empty(t, l.errors, "creates failed without a fault")
	})
}

// TestSoakThroughProxies performs all operations while everything between client and
// server breaks: toxics change (delays, cuts, resets, stalls, low bandwidth), and
// nginx is reloaded and restarted.
func TestSoakThroughProxies(t *testing.T) {
	if *toxiproxyProgram == "" {
		t.Skip("needs toxiproxy: run .ci/soak")
	}
	http.DefaultClient.Timeout = 5 * time.Second // toxiproxy's client, which can hang
	soakThroughProxies(t, *toxiproxyProgram, func(ctx context.Context, l *ledger, p *proxies) {
		operations := cmp.Or(*soakOps, 100_000)
		faults, stopFaults := context.WithCancel(ctx)
		ended := make(chan error)
		go func() { ended <- p.breakThings(faults, rand.New(rand.NewPCG(*soakSeed, 1<<32)), l, operations) }()
		l.run(ctx, goroutines, operations, func(n int) *worker {
			hc := &http.Client{Timeout: 2 * time.Second}
			switch n % 4 { // half of the workers have the library's own transport
			case 0:
				transport := &http.Transport{Protocols: new(http.Protocols)}
				transport.Protocols.SetHTTP1(true)
				hc.Transport = transport
			case 1:
				hc.Transport = http.DefaultTransport.(*http.Transport).Clone()
			}
			policy := fastly.RetryPolicy{MinBackoff: time.Millisecond, MaxBackoff: 50 * time.Millisecond}
			return &worker{
				ledger: l, url: p.url, n: n, rand: rand.New(rand.NewPCG(*soakSeed, uint64(n))),
				options: []fastly.Option{fastly.WithHTTPClient(hc), fastly.WithRetryPolicy(policy)},
			}
		})
		stopFaults()
		require.NoError(t, <-ended)
		if operations >= 10_000 {
			assert.Greater(t, len(l.unknown), 20, "creates of unknown outcome: the soak was too easy")
			assert.Greater(t, l.unclear, 20, "revokes of unknown outcome: the soak was too easy")
		}
	})
}

// soakThroughProxies compares what the callers in perform were told with what the
// server has.
func soakThroughProxies(t *testing.T, toxiproxy string, perform func(context.Context, *ledger, *proxies)) {
	if *nginxProgram == "" {
		t.Skip("needs nginx: run .ci/soak")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	srv := fastlytest.NewServer(fastlytest.WithRateLimit(1 << 30))
	defer srv.Close()
	p, err := startProxies(*work, *nginxProgram, toxiproxy, strings.TrimPrefix(srv.URL, "http://"))
	require.NoError(t, err)
	defer p.stop()
	l := newLedger(srv)
	begin := time.Now()
	perform(ctx, l, p)
	require.NoError(t, ctx.Err(), "all operations, in time")
	t.Logf("-soak.seed=%d: %d requests in %v; nginx had %s", *soakSeed, len(srv.Requests()), time.Since(begin).Round(time.Second), p.requests())
	t.Logf("%d changes of toxics, %d restarts of toxiproxy; %d reloads and %d restarts of nginx", p.changes, p.toxiproxyRestarts, p.reloads, p.restarts)
	p.stop()
	srv.Close() // which also ends requests that clients have abandoned
	var text strings.Builder
	assert.Empty(t, l.report(&text))
	t.Log(&text)
}
