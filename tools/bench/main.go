//go:debug x509usefallbackroots=1

// Command bench measures the library beside its floor, which is bare net/http and
// encoding/json, and prints the rows of docs/performance.md for the Go release that
// it runs on:
//
//	go run ./bench                       # everything, about four minutes
//	GOTOOLCHAIN=go1.27.4 go run ./bench  # on another release
//	go run ./bench -rounds 5             # quickly, and less exactly
//	go run ./bench -only create          # the rows whose work has this in it
//
// Each figure is the median of many short rounds in which the two sides take
// turns, so that other load on the machine affects both equally. No figure changes
// the exit code.
package main

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http/httptest"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/fastly-tokens/fastly"
)

func main() {
	only := flag.String("only", "", "print the rows with this `text` in their work")
	rounds := flag.Int("rounds", 150, "measure each side at most this often")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(meter{ctx, max(1, *rounds)}, *only, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// release is the Go release: 1.26, say.
var release = strings.Join(strings.Split(strings.TrimPrefix(runtime.Version(), "go"), ".")[:2], ".")

// byRelease is a limit on Go 1.26 and one on later releases, whose encoding/json
// is faster.
type byRelease [2]float64

func (l byRelease) now() float64 {
	if release == "1.26" {
		return l[0]
	}
	return l[1]
}

// comparisons are the rows that compare an operation with its floor. Limits are of
// the ratios; zero is none.
var comparisons = []struct {
	work, operation string
	config          config
	time            byRelease
	bytes           float64
	allocations     byRelease
}{
	{"get", "GetTokenCurrent", config{}, byRelease{0.95, 1.04}, 0, byRelease{0.95}},
	{"create", "CreateToken", config{}, byRelease{1.08, 1.05}, 0, byRelease{}},
	{"list of 100", "ListTokensUser", config{tokens: 100}, byRelease{0.53, 0.68}, 0.68, byRelease{}},
	{"list of 100, compressed", "ListTokensUser", config{tokens: 100, gzip: true}, byRelease{}, 0.68, byRelease{}},
	{"list of 10,000", "ListTokensUser", config{tokens: 10_000}, byRelease{0.50, 0.64}, 0.50, byRelease{0.80, 0.80}},
	{"bulk revoke of 100", "BulkRevokeTokens", config{}, byRelease{}, 0, byRelease{}},
	{"get, HTTP/2 over TLS", "GetTokenCurrent", config{tls: true}, byRelease{}, 0, byRelease{}},
}

// figures are the rows that need no floor, and their limits.
var figures = []struct {
	work    string
	parts   []string
	measure func(meter) ([]float64, error)
	limits  []float64
}{
	{"bulk revoke of 100", []string{"allocations"}, meter.bulkAllocations, []float64{130}},
	{"list of 100,000", []string{"time divided by 10 times that of 10,000"}, meter.linear, []float64{1.15}},
	{"list of 100,000", []string{"peak of the live heap divided by the list"}, meter.heap, []float64{2.2}},
	{"256 revokes over 64 goroutines, 20 ms away", []string{"time divided by four round trips"}, meter.latency, []float64{1.3}},
	{
		"a program with one get",
		[]string{"seconds of cold build more than the floor", "MiB more than the floor", "other modules"},
		meter.build, []float64{1.5, 0.6, 3},
	},
}

func run(m meter, only string, out io.Writer) error {
	trustTestCertificate()
	fmt.Fprintf(out, "%s %s/%s, %d CPUs\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	fmt.Fprintln(out, "| Go | work | time | ratio of time | of bytes | of allocations |\n|---|---|---|---|---|---|")
	for _, c := range comparisons {
		if !strings.Contains(c.work, only) {
			continue
		}
		floor, library, err := m.compare(c.operation, c.config)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s |\n", release, c.work, duration(library.seconds),
			atMost(library.seconds/floor.seconds, c.time.now()), atMost(library.bytes/floor.bytes, c.bytes),
			atMost(library.allocations/floor.allocations, c.allocations.now()))
	}
	fmt.Fprintln(out, "\n| Go | measure | figure |\n|---|---|---|")
	for _, f := range figures {
		if !strings.Contains(f.work, only) {
			continue
		}
		values, err := f.measure(m)
		if err != nil {
			return err
		}
		for i, part := range f.parts {
			fmt.Fprintf(out, "| %s | %s, %s | %s |\n", release, f.work, part, atMost(values[i], f.limits[i]))
		}
	}
	return nil
}

// atMost returns a figure beside its limit, if it has one.
func atMost(figure, limit float64) string {
	text := fmt.Sprintf("%.2f", figure)
	if figure >= 10 || figure == math.Trunc(figure) {
		text = fmt.Sprintf("%.0f", figure)
	}
	switch {
	case limit == 0:
		return text
	case figure > limit:
		return fmt.Sprintf("%s, **not ≤ %g**", text, limit)
	}
	return fmt.Sprintf("%s ≤ %g", text, limit)
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

func (m meter) bulkAllocations() ([]float64, error) {
	_, library, err := m.compare("BulkRevokeTokens", config{})
	return []float64{library.allocations}, err
}

func (m meter) linear() ([]float64, error) {
	_, long, err := m.compare("ListTokensUser", config{tokens: 10_000})
	if err != nil {
		return nil, err
	}
	_, longest, err := m.compare("ListTokensUser", config{tokens: 100_000})
	return []float64{longest.seconds / (10 * long.seconds)}, err
}

// heap compares the memory in use while a long list is read with the list itself.
func (m meter) heap() ([]float64, error) {
	srv := newServer(config{tokens: 100_000})
	defer srv.Close()
	var peak, kept float64
	for range min(12, m.rounds) { // the moment of the peak is short, and can be missed
		client, err := fastly.NewClient(fastly.WithAPIKey(someKey), fastly.WithBaseURL(srv.URL))
		if err != nil {
			return nil, err
		}
		var list []fastly.TokenResponse
		before := liveHeap()
		highest, err := peakHeap(func() (err error) {
			list, err = client.Tokens.ListTokensUser(m.ctx)
			return err
		})
		if err != nil {
			return nil, err
		}
		peak, kept = max(peak, highest-before), liveHeap()-before
		runtime.KeepAlive(list)
		client.CloseIdleConnections()
	}
	return []float64{peak / kept}, nil
}

// latency shows how much a client adds to the latency of the network.
func (m meter) latency() ([]float64, error) {
	const latency, goroutines, calls = 20 * time.Millisecond, 64, 4
	srv := newServer(config{latency: latency})
	defer srv.Close()
	_, library, err := sides(srv.URL, "RevokeToken")
	if err != nil {
		return nil, err
	}
	defer library.close()
	medians, err := m.alternate(func() (s sample, err error) {
		errs := make(chan error, goroutines)
		begin := time.Now()
		for range goroutines {
			go func() {
				var err error
				for range calls {
					err = errors.Join(err, library.call(m.ctx))
				}
				errs <- err
			}()
		}
		for range goroutines {
			err = errors.Join(err, <-errs)
		}
		return sample{seconds: time.Since(begin).Seconds()}, err
	})
	if err != nil {
		return nil, err
	}
	return []float64{medians[0].seconds / (calls * latency.Seconds())}, nil
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
