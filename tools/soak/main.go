// Command soak runs many operations on many goroutines through real proxies, and
// compares what the callers were told with what the server has in the end.
//
//	client → toxiproxy → nginx (TLS, HTTP/2) → toxiproxy → fastlytest
//
// Meanwhile toxics change (delays, cuts, resets, stalls, low bandwidth) and nginx
// is reloaded and restarted. With -bar there are no faults, but a stock nginx ends
// its HTTP/2 connections every 1,000 requests, which no caller may notice.
//
// The script .ci/soak installs what it needs, and calls it. The exit code is 1
// if anything was lost, duplicated or leaked, and 2 if it could not run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/goleak"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

type options struct {
	nginx, toxiproxy     string
	operations, parallel int
	seed                 uint64
	limit, timeout       time.Duration
	bar                  bool
}

// errBroken is the error of a run in which the library broke a promise.
var errBroken = errors.New("promises were broken")

func main() {
	var o options
	flag.StringVar(&o.nginx, "nginx", "nginx", "`program` of nginx")
	flag.StringVar(&o.toxiproxy, "toxiproxy", "toxiproxy-server", "`program` of toxiproxy's server")
	flag.IntVar(&o.operations, "ops", 100000, "`number` of operations; with -bar, of creates")
	flag.IntVar(&o.parallel, "goroutines", 64, "`number` of goroutines")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64(), "`seed` of the random numbers; in which order goroutines take their turns stays random") //nolint:gosec // which operations to do is no secret
	flag.DurationVar(&o.limit, "time", 30*time.Minute, "`time` after which a run that is not done fails")
	flag.DurationVar(&o.timeout, "timeout", 2*time.Second, "`time` that an attempt may take; not with -bar")
	flag.BoolVar(&o.bar, "bar", false, "creates alone, through a stock nginx without faults")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	switch {
	case errors.Is(err, errBroken):
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("not done after %v", o.limit))
	defer cancel()
	work, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	// The process trusts the certificate, so that the library's own transport needs
	// no other settings.
	certificate, err := writeCertificate(work)
	if err != nil {
		return err
	}
	if err := os.Setenv("SSL_CERT_FILE", certificate); err != nil {
		return err
	}
	if o.bar {
		return runBar(ctx, o, work, out)
	}
	return runFaults(ctx, o, work, out)
}

// runBar creates tokens through a healthy nginx.
func runBar(ctx context.Context, o options, work string, out io.Writer) error {
	srv := fastlytest.NewServer(fastlytest.WithRateLimit(1 << 30))
	defer srv.Close()
	front, err := startNginx(ctx, o.nginx, work, strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		return err
	}
	defer front.stop()
	// A user can hold 100 tokens.
	var users []fastlytest.User
	for range o.operations/100 + 1 {
		users = append(users, srv.AddUser(fastlytest.User{}))
	}
	c, err := fastly.NewClient(fastly.WithBaseURL(front.url()), fastly.WithAPIKey(srv.Key().Reveal()))
	if err != nil {
		return err
	}
	defer c.CloseIdleConnections()
	before := len(srv.Tokens())
	fmt.Fprintf(out, "%d creates of %d goroutines through nginx, HTTP/2, without faults\n", o.operations, o.parallel)

	var next, failed, unknown atomic.Int64
	var mu sync.Mutex
	texts := map[string]int{}
	var wg sync.WaitGroup
	start := time.Now()
	for range o.parallel {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < o.operations && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				user := users[i/100]
				_, err := c.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
					Name: fmt.Sprintf("bar-%05d", i), Username: user.Login, Password: fastly.Secret(user.Password),
				})
				if err == nil {
					continue
				}
				failed.Add(1)
				if errors.Is(err, fastly.ErrOutcomeUnknown) {
					unknown.Add(1)
				}
				mu.Lock()
				text, _, _ := strings.Cut(err.Error(), ";")
				texts[text]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	served := len(srv.Tokens()) - before
	for text, n := range texts {
		fmt.Fprintf(out, "%d × %s\n", n, text)
	}
	connections := map[string]bool{}
	versions := map[string]int{}
	for _, line := range front.accessLog() {
		connection, version, _ := strings.Cut(line, " ")
		connections[connection] = true
		versions[version]++
	}
	table(out, [][2]string{
		{"creates, in", fmt.Sprintf("%d, %v", o.operations, took.Round(time.Millisecond))},
		{"connections to nginx, requests by protocol", fmt.Sprintf("%d, %v", len(connections), versions)},
		{"served", strconv.Itoa(served)},
		{"errors, of which outcome unknown", fmt.Sprintf("%d, %d", failed.Load(), unknown.Load())},
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failed.Load() > 0 || served != o.operations {
		return fmt.Errorf("%w: 0 errors and %d served were wanted", errBroken, o.operations)
	}
	return nil
}

// runFaults runs all operations while everything between client and server
// breaks.
func runFaults(ctx context.Context, o options, work string, out io.Writer) error {
	own := goleak.IgnoreCurrent()
	p, err := startParts(ctx, o, work)
	if err != nil {
		return err
	}
	defer p.stop()
	fmt.Fprintf(out, "%d operations of %d goroutines, -seed %d\n", o.operations, o.parallel, o.seed)
	start := time.Now()
	l := NewLedger(p.server)
	var started atomic.Int64
	var wg sync.WaitGroup
	for n := range o.parallel {
		wg.Go(func() {
			w := newWorker(l, p.url(), n, o)
			defer w.Close()
			for started.Add(1) <= int64(o.operations) && ctx.Err() == nil {
				w.Step(ctx)
			}
		})
	}
	faults, stopFaults := context.WithCancel(ctx)
	var trouble error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		trouble = p.breakThings(faults, rand.New(rand.NewPCG(o.seed, 1<<32)), &started, o.operations) //nolint:gosec // as above
	}()
	wg.Wait()
	stopFaults()
	<-ended
	if trouble != nil {
		return trouble
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w, and %d of %d operations", errBroken, context.Cause(ctx), min(started.Load(), int64(o.operations)), o.operations)
	}
	requests := len(p.server.Requests())
	// This also ends requests that clients have abandoned.
	p.stop()
	leaked := goleak.Find(own)

	rows := [][2]string{
		{"operations, requests, time", fmt.Sprintf("%d, %d, %v", o.operations, requests, time.Since(start).Round(time.Second))},
		{"changes of toxics, toxiproxy restarted; nginx reloaded, restarted", fmt.Sprintf("%d, %d; %d, %d", p.changes, p.toxiRestarts, p.nginx.reloads, p.nginx.restarts)},
		{"tokens on the server", strconv.Itoa(len(p.server.Tokens()))},
		{"creates returned, of unknown outcome, failed", fmt.Sprintf("%d, %d, %d", len(l.Returned), len(l.Unknown), len(l.Rejected))},
		{"revokes done, rejected, unclear (the error says so)", fmt.Sprintf("%d, %d, %d", len(l.Done), len(l.Kept), l.Unclear)},
	}
	var broken []string
	for _, found := range l.Check() {
		rows = append(rows, [2]string{found.What, strconv.Itoa(len(found.Cases))})
		for _, c := range found.Cases {
			broken = append(broken, found.What+": "+c)
		}
	}
	if leaked != nil {
		broken = append(broken, leaked.Error())
	}
	for _, line := range broken[:min(len(broken), 50)] {
		fmt.Fprintln(out, line)
	}
	table(out, append(rows, [2]string{"goroutines left", map[bool]string{true: "0", false: "see above"}[leaked == nil]}))
	if len(broken) > 0 {
		return errBroken
	}
	if o.operations >= 10000 && (len(l.Unknown) < 20 || l.Unclear < 20) {
		return fmt.Errorf("%w: the soak was not hard enough", errBroken)
	}
	return nil
}

// newWorker returns a worker. Half of them have the library's own transport.
func newWorker(l *Ledger, url string, n int, o options) *Worker {
	hc := &http.Client{Timeout: o.timeout}
	switch n % 4 {
	case 0:
		t := &http.Transport{Protocols: new(http.Protocols)}
		t.Protocols.SetHTTP1(true)
		hc.Transport = t
	case 1:
		hc.Transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	return &Worker{
		Ledger: l, URL: url, N: n, Rand: rand.New(rand.NewPCG(o.seed, uint64(n))), //nolint:gosec // random operations are no secret
		Options: []fastly.Option{
			fastly.WithHTTPClient(hc),
			fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: time.Millisecond, MaxBackoff: 50 * time.Millisecond}),
		},
	}
}

// table prints rows as those of a document.
func table(out io.Writer, rows [][2]string) {
	fmt.Fprintln(out, "\n| | |\n|---|---|")
	for _, row := range rows {
		fmt.Fprintf(out, "| %s | %s |\n", row[0], row[1])
	}
}
