//go:debug x509usefallbackroots=1

// Command bench measures the library beside its floor, which is bare net/http and
// encoding/json, and prints the tables of docs/performance.md:
//
//	go run ./bench             # everything, about five minutes
//	go run ./bench -short      # without the cold builds
//	go run ./bench -only list  # one part
//
// Each figure is the median of many short rounds in which the two sides take
// turns, so that other load on the machine affects both equally. No figure changes
// the exit code.
package main

import (
	"context"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fastly-tokens/fastly"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const ratios = "work | measure | floor | library | ratio | at most"

var parts = []struct {
	name, table, columns string
	measure              func(*report) error
}{
	{"get", "HTTP/1.1 without TLS", ratios, (*report).get},
	{"list", "HTTP/1.1 without TLS", ratios, (*report).list},
	{"heap", "HTTP/1.1 without TLS", ratios, (*report).heap},
	{"create", "HTTP/1.1 without TLS", ratios, (*report).create},
	{"revoke", "HTTP/1.1 without TLS", ratios, (*report).revoke},
	{"burst", "HTTP/1.1 without TLS", ratios, (*report).burst},
	{"tls", "HTTP/2 over TLS", ratios, (*report).tls},
	{"build", "A program with one get", "measure | floor | library | difference | at most", (*report).build},
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	short := flags.Bool("short", false, "leave out the cold builds")
	only := flags.String("only", "", "measure one `part`: "+strings.Join(names, ", "))
	rounds := flags.Int("rounds", 150, "measure each side at most this often")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *only != "" && !slices.Contains(names, *only) {
		return fmt.Errorf("no part is called %q: want one of %s", *only, strings.Join(names, ", "))
	}
	if *rounds < 1 {
		return fmt.Errorf("%d rounds measure nothing: want at least 1", *rounds)
	}
	r := &report{ctx, out, *rounds}
	fmt.Fprintf(out, "%s %s/%s, %d CPUs\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	table := ""
	for _, p := range parts {
		if *only != "" && *only != p.name || *short && p.name == "build" {
			continue
		}
		if p.table != table {
			table = p.table
			fmt.Fprintf(out, "\n### %s\n\n| %s |\n%s|\n", table, p.columns, strings.Repeat("|---", 1+strings.Count(p.columns, "|")))
		}
		if err := p.measure(r); err != nil {
			return err
		}
	}
	return nil
}

// report has the parts as methods, which write rows.
type report struct {
	ctx    context.Context
	out    io.Writer
	rounds int
}

func (r *report) get() error {
	_, err := r.call("get", "GetTokenCurrent", Config{}, sample{seconds: 0.92, allocations: 0.95})
	return err
}

func (r *report) create() error {
	_, err := r.call("create", "CreateToken", Config{}, sample{seconds: 1.03})
	return err
}

func (r *report) list() error {
	for _, encoding := range []string{"", ", compressed"} {
		list := func(tokens int, limits sample) (sample, error) {
			return r.call("list of "+number(float64(tokens))+encoding, "ListTokensUser",
				Config{Tokens: tokens, Gzip: encoding != ""}, limits)
		}
		if _, err := list(100, sample{seconds: 0.52, bytes: 0.68}); err != nil {
			return err
		}
		long, err := list(10_000, sample{seconds: 0.49, bytes: 0.50, allocations: 0.80})
		if err != nil {
			return err
		}
		longest, err := list(100_000, sample{})
		if err != nil {
			return err
		}
		r.ratio("list of 100,000"+encoding, "time, to 10 times that of 10,000", duration, 10*long.seconds, longest.seconds, 1.15)
	}
	return nil
}

// heap compares the memory in use while a long list is read with the list itself.
func (r *report) heap() error {
	srv := NewServer(Config{Tokens: 100_000})
	defer srv.Close()
	var peak, kept float64
	for range 12 { // the moment of the peak is short, and can be missed
		client, err := fastly.NewClient(fastly.WithAPIKey(Key), fastly.WithBaseURL(srv.URL))
		if err != nil {
			return err
		}
		var list []fastly.TokenResponse
		before := liveHeap()
		highest, err := peakHeap(func() (err error) {
			list, err = client.Tokens.ListTokensUser(r.ctx)
			return err
		})
		if err != nil {
			return err
		}
		peak, kept = max(peak, highest-before), liveHeap()-before
		runtime.KeepAlive(list)
		client.CloseIdleConnections()
	}
	r.ratio("list of 100,000", "live heap at its peak, to the list itself", size, kept, peak, 2.2)
	return nil
}

// revoke shows how much a client adds to the latency of the network.
func (r *report) revoke() error {
	const latency, revokes = 20 * time.Millisecond, 4 * goroutines
	srv := NewServer(Config{Latency: latency})
	defer srv.Close()
	library, err := Library(srv.URL, Operations["RevokeToken"])
	if err != nil {
		return err
	}
	defer library.CloseIdleConnections()
	medians, err := r.alternate(func() (s sample, err error) {
		s.seconds, err = r.parallel(library, revokes)
		return s, err
	})
	if err == nil {
		r.ratio("256 revokes over 64 goroutines, 20 ms away", "time, to four round trips", duration, 4*latency.Seconds(), medians[0].seconds, 1.3)
	}
	return err
}

func (r *report) burst() error {
	floor, library, err := r.gets(Config{})
	if err == nil {
		r.ratio("6,400 gets over 64 goroutines", "time", duration, floor.seconds, library.seconds, 0)
		r.ratio("6,400 gets over 64 goroutines", "connections, to goroutines", number, goroutines, library.connections, 1)
	}
	return err
}

// tls repeats the parts that HTTP/2 may affect.
func (r *report) tls() error {
	trustTestCertificate()
	if _, err := r.call("get", "GetTokenCurrent", Config{TLS: true}, sample{}); err != nil {
		return err
	}
	if _, err := r.call("list of 100", "ListTokensUser", Config{TLS: true, Tokens: 100}, sample{}); err != nil {
		return err
	}
	floor, library, err := r.gets(Config{TLS: true})
	if err == nil {
		r.ratio("6,400 gets over 64 goroutines", "time", duration, floor.seconds, library.seconds, 0)
		r.ratio("6,400 gets over 64 goroutines", "connections", number, floor.connections, library.connections, 0)
	}
	return err
}

// trustTestCertificate makes the certificate of httptest's servers a root of this
// process, so that both sides keep the TLS settings they have by default. It
// needs the go:debug line at the top.
var trustTestCertificate = sync.OnceFunc(func() {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	x509.SetFallbackRoots(roots)
})

// ratio writes a row that compares the library with the floor, or with another
// reference.
func (r *report) ratio(work, measure string, unit func(float64) string, floor, library, limit float64) {
	r.row(work, measure, unit(floor), unit(library), fmt.Sprintf("%.2f", library/floor), atMost(library/floor, limit))
}

func (r *report) row(cells ...string) {
	fmt.Fprintf(r.out, "| %s |\n", strings.Join(cells, " | "))
}

// atMost returns the limit, and by how much the figure misses it. Zero means no
// limit.
func atMost(figure, limit float64) string {
	switch {
	case limit == 0:
		return "–"
	case figure > limit:
		return fmt.Sprintf("%g: missed by %.2f", limit, figure-limit)
	}
	return fmt.Sprintf("%g", limit)
}

func duration(seconds float64) string {
	switch {
	case seconds < 1e-3:
		return fmt.Sprintf("%.1f µs", seconds*1e6)
	case seconds < 1:
		return fmt.Sprintf("%.2f ms", seconds*1e3)
	}
	return fmt.Sprintf("%.2f s", seconds)
}

func size(bytes float64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%.1f KiB", bytes/(1<<10))
	}
	return fmt.Sprintf("%.2f MiB", bytes/(1<<20))
}

func number(n float64) string {
	text := fmt.Sprintf("%.0f", n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
