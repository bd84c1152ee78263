// Command soak runs many operations on many goroutines through real proxies, and
// compares what the callers were told with what the server has in the end.
//
//	client → toxiproxy → nginx (TLS, HTTP/2) → toxiproxy → fastlytest
//
// Meanwhile toxics change (delays, cuts, resets, stalls, low bandwidth) and nginx
// is reloaded and restarted. Without a toxiproxy there are no faults, and creates
// alone, but a stock nginx ends its HTTP/2 connections every 1,000 requests, which
// no caller may notice.
//
// The script .ci/soak installs what it needs, and calls it. The exit code is 1
// if anything was lost, duplicated or leaked, or it could not run.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"go.uber.org/goleak"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

type options struct {
	nginx, toxiproxy, work string
	operations, goroutines int
	seed                   uint64
	limit, timeout         time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.work, "work", ".", "`folder` with cert.pem and key.pem, for nginx's files")
	flag.StringVar(&o.nginx, "nginx", "nginx", "`program` of nginx")
	flag.StringVar(&o.toxiproxy, "toxiproxy", "", "`program` of toxiproxy's server; none means creates without faults")
	flag.IntVar(&o.operations, "ops", 0, "`number` of operations; 0 means 100,000, or 20,000 creates")
	flag.IntVar(&o.goroutines, "goroutines", 64, "`number` of goroutines")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64(), "`seed` of the random numbers; in which order goroutines take their turns stays random")
	flag.DurationVar(&o.limit, "time", 30*time.Minute, "`time` after which a run that is not done fails")
	flag.DurationVar(&o.timeout, "timeout", 2*time.Second, "`time` that an attempt may take, with faults")
	flag.Parse()
	http.DefaultClient.Timeout = 5 * time.Second // toxiproxy's client, which can hang

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("not done after %v", o.limit))
	defer cancel()
	own := goleak.IgnoreCurrent()
	srv := fastlytest.NewServer(fastlytest.WithRateLimit(1 << 30))
	defer srv.Close()
	p, err := startProxies(o, strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		return err
	}
	defer p.stop()
	l := newLedger(srv)
	begin := time.Now()
	if o.toxiproxy == "" {
		err = onlyCreates(ctx, l, p, o)
	} else {
		err = withFaults(ctx, l, p, o)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d requests, -seed %d, in %v; nginx had %s\n", len(srv.Requests()), o.seed, time.Since(begin).Round(time.Second), p.requests())
	fmt.Fprintf(out, "%d changes of toxics, %d restarts of toxiproxy; %d reloads and %d restarts of nginx\n", p.changes, p.toxiproxyRestarts, p.reloads, p.restarts)
	p.stop()
	srv.Close() // which also ends requests that clients have abandoned
	problems := l.report(out)
	if o.toxiproxy == "" && len(l.rejected)+len(l.unknown) > 0 {
		for text := range l.errors {
			fmt.Fprintln(out, text)
		}
		problems = append(problems, "creates failed without a fault")
	}
	if o.toxiproxy != "" && l.started.Load() >= 10000 && (len(l.unknown) < 20 || l.unclear < 20) {
		problems = append(problems, "the soak was not hard enough")
	}
	if err := goleak.Find(own); err != nil {
		problems = append(problems, err.Error())
	}
	if len(problems) > 0 {
		return fmt.Errorf("promises were broken: %s", strings.Join(problems, "; "))
	}
	return nil
}

// onlyCreates creates tokens by one client.
func onlyCreates(ctx context.Context, l *ledger, p *proxies, o options) error {
	client, err := fastly.NewClient(fastly.WithBaseURL(p.url), fastly.WithAPIKey(l.server.Key().Reveal()), fastly.WithLogger(l.logger))
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	l.run(ctx, o.goroutines, cmp.Or(o.operations, 20_000), func(n int) *worker {
		return &worker{ledger: l, n: n, shared: client}
	})
	return context.Cause(ctx)
}

// withFaults performs all operations while everything between client and server
// breaks.
func withFaults(ctx context.Context, l *ledger, p *proxies, o options) error {
	operations := cmp.Or(o.operations, 100_000)
	faults, stopFaults := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- p.breakThings(faults, rand.New(rand.NewPCG(o.seed, 1<<32)), l, operations) }()
	l.run(ctx, o.goroutines, operations, func(n int) *worker {
		hc := &http.Client{Timeout: o.timeout}
		switch n % 4 { // half of the workers have the library's own transport
		case 0:
			t := &http.Transport{Protocols: new(http.Protocols)}
			t.Protocols.SetHTTP1(true)
			hc.Transport = t
		case 1:
			hc.Transport = http.DefaultTransport.(*http.Transport).Clone()
		}
		policy := fastly.RetryPolicy{MinBackoff: time.Millisecond, MaxBackoff: 50 * time.Millisecond}
		return &worker{
			ledger: l, url: p.url, n: n, rand: rand.New(rand.NewPCG(o.seed, uint64(n))),
			options: []fastly.Option{fastly.WithHTTPClient(hc), fastly.WithRetryPolicy(policy)},
		}
	})
	stopFaults()
	return errors.Join(<-ended, context.Cause(ctx))
}
