// Command bench measures the library beside a floor of bare net/http and
// encoding/json, both against the same local server, in alternation, and prints
// the ratios with what they should reach:
//
//	go run ./bench           # all, about three minutes
//	go run ./bench -short    # without the cold builds
//
// Figures are medians of many short rounds, each side in turn, so that other work
// on the machine, and how the scheduler happens to place goroutines, weigh the
// same on both. The exit code is 0 whatever they are: they inform, the tests
// judge. See docs/performance.md for a run and how to read it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/benchkit"
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

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	short := flags.Bool("short", false, "leave out the cold builds")
	only := flags.String("only", "", "measure one `part`: get, lists, long, create, revokes, connections or builds")
	rounds := flags.Int("rounds", 150, "how often each side is measured, at the most")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r := &report{ctx: ctx, out: out, rounds: *rounds}
	fmt.Fprintf(out, "%s, %d CPUs\n\n| work | encoding | measure | floor | fastly | ratio | at most | |\n|---|---|---|---|---|---|---|---|\n", runtime.Version(), runtime.NumCPU())
	for _, part := range []struct {
		name    string
		measure func() error
	}{
		{"get", r.get},
		{"lists", r.lists},
		{"long", r.longList},
		{"create", r.create},
		{"revokes", r.revokes},
		{"connections", r.connections},
		{"builds", r.builds},
	} {
		if *only != "" && *only != part.name || *short && part.name == "builds" {
			continue
		}
		if err := part.measure(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

type report struct {
	ctx    context.Context
	out    io.Writer
	rounds int
}

func (r *report) row(work, encoding, measure, floor, ours string, ratio, most float64, format string) {
	verdict := "reached"
	if ratio > most {
		verdict = fmt.Sprintf("short by "+format, ratio-most)
	}
	fmt.Fprintf(r.out, "| %s | %s | %s | %s | %s | "+format+" | "+format+" | %s |\n", work, encoding, measure, floor, ours, ratio, most, verdict)
}

// A long list is measured less often, to come to an end.
const (
	minRounds = 5
	maxTime   = 15 * time.Second
)

// cost is that of one call.
type cost struct{ seconds, bytes, allocations float64 }

// typical is the median of each figure.
func typical(costs []cost) cost {
	median := func(figure func(cost) float64) float64 {
		figures := make([]float64, len(costs))
		for i, c := range costs {
			figures[i] = figure(c)
		}
		slices.Sort(figures)
		return figures[len(figures)/2]
	}
	return cost{
		median(func(c cost) float64 { return c.seconds }),
		median(func(c cost) float64 { return c.bytes }),
		median(func(c cost) float64 { return c.allocations }),
	}
}

// measure calls f for about 50 ms.
func measure(f func() error) (cost, error) {
	if err := f(); err != nil { // warm, and to learn how long it takes
		return cost{}, err
	}
	start := time.Now()
	if err := f(); err != nil {
		return cost{}, err
	}
	n := max(1, int(50*time.Millisecond/max(time.Since(start), time.Microsecond)))
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start = time.Now()
	for range n {
		if err := f(); err != nil {
			return cost{}, err
		}
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return cost{
		took.Seconds() / float64(n),
		float64(after.TotalAlloc-before.TotalAlloc) / float64(n),
		float64(after.Mallocs-before.Mallocs) / float64(n),
	}, nil
}

// beside measures both sides in alternation against one server.
func (r *report) beside(c benchkit.Config, floor func(*benchkit.Floor) error, ours func(*fastly.Client) error) (f, o cost, err error) {
	srv, client, err := start(c)
	if err != nil {
		return f, o, err
	}
	defer srv.Close()
	bare := benchkit.NewFloor(srv.URL)
	begin := time.Now()
	var sides [2][]cost
	for i := range r.rounds {
		if i >= minRounds && time.Since(begin) > maxTime {
			break
		}
		for side, call := range []func() error{
			func() error { return floor(bare) },
			func() error { return ours(client) },
		} {
			next, err := measure(call)
			if err != nil {
				return f, o, err
			}
			sides[side] = append(sides[side], next)
		}
	}
	return typical(sides[0]), typical(sides[1]), r.ctx.Err()
}

func start(c benchkit.Config) (*benchkit.Server, *fastly.Client, error) {
	srv := benchkit.NewServer(c)
	client, err := newClient(srv)
	return srv, client, err
}

func newClient(srv *benchkit.Server) (*fastly.Client, error) {
	return fastly.NewClient(fastly.WithAPIKey(benchkit.Key), fastly.WithBaseURL(srv.URL))
}

func (r *report) costs(work, encoding string, f, o cost, time, bytes, allocations float64) {
	r.row(work, encoding, "time", duration(f.seconds), duration(o.seconds), o.seconds/f.seconds, time, "%.2f")
	if bytes > 0 {
		r.row(work, encoding, "bytes", size(f.bytes), size(o.bytes), o.bytes/f.bytes, bytes, "%.2f")
	}
	if allocations > 0 {
		r.row(work, encoding, "allocations", fmt.Sprintf("%.0f", f.allocations), fmt.Sprintf("%.0f", o.allocations), o.allocations/f.allocations, allocations, "%.2f")
	}
}

func duration(seconds float64) string {
	return time.Duration(seconds * 1e9).Round(100 * time.Nanosecond).String()
}

func size(bytes float64) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%.2f MiB", bytes/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", bytes/(1<<10))
}

func encoding(gzip bool) string {
	if gzip {
		return "gzip"
	}
	return "plain"
}

func (r *report) list(n int, gzip bool) (floor, ours cost, err error) {
	return r.beside(benchkit.Config{Tokens: n, Gzip: gzip},
		func(f *benchkit.Floor) error { return f.List(r.ctx, "/tokens") },
		func(c *fastly.Client) error { _, err := c.Tokens.ListTokensUser(r.ctx); return err })
}

func (r *report) get() error {
	f, o, err := r.beside(benchkit.Config{},
		func(f *benchkit.Floor) error { return f.Get(r.ctx, "/tokens/self") },
		func(c *fastly.Client) error { _, err := c.Tokens.GetTokenCurrent(r.ctx); return err })
	if err == nil {
		r.costs("GetTokenCurrent", "plain", f, o, 0.95, 0, 0.95)
	}
	return err
}

func (r *report) lists() error {
	for _, want := range []struct {
		tokens                   int
		time, bytes, allocations float64
	}{{100, 0.45, 0.45, 0.45}, {10_000, 0.42, 0.35, 0.36}} {
		for _, gzip := range []bool{false, true} {
			f, o, err := r.list(want.tokens, gzip)
			if err != nil {
				return err
			}
			r.costs(fmt.Sprintf("ListTokensUser, %d tokens", want.tokens), encoding(gzip), f, o, want.time, want.bytes, want.allocations)
		}
	}
	return nil
}

func (r *report) create() error {
	f, o, err := r.beside(benchkit.Config{},
		func(f *benchkit.Floor) error { return f.Create(r.ctx) },
		func(c *fastly.Client) error { _, err := c.Tokens.CreateToken(r.ctx, &benchkit.Request); return err })
	if err == nil {
		r.costs("CreateToken", "plain", f, o, 1.00, 0, 0)
	}
	return err
}

// longList is ten times the long list: whether cost grows evenly.
func (r *report) longList() error {
	for _, gzip := range []bool{false, true} {
		_, ten, err := r.list(10_000, gzip)
		if err != nil {
			return err
		}
		_, hundred, err := r.list(100_000, gzip)
		if err != nil {
			return err
		}
		r.row("list of 100,000 tokens", encoding(gzip), "time, to 10 × 10,000", duration(10*ten.seconds), duration(hundred.seconds), hundred.seconds/(10*ten.seconds), 1.15, "%.2f")
	}
	return r.heap()
}

// heap is what of a long list is in memory at a time, at the worst of some
// tries: the worst moment is short.
func (r *report) heap() error {
	srv, _, err := start(benchkit.Config{Tokens: 100_000})
	if err != nil {
		return err
	}
	defer srv.Close()
	var list []fastly.TokenResponse
	var peak, kept float64
	for range 5 {
		// One that has never seen a list can't know how long it is.
		client, err := newClient(srv)
		if err != nil {
			return err
		}
		list = nil
		before := live()
		most, err := peakLive(func() error {
			list, err = client.Tokens.ListTokensUser(r.ctx)
			return err
		})
		if err != nil {
			return err
		}
		peak, kept = max(peak, most-before), live()-before
		client.CloseIdleConnections()
	}
	bare := float64(len(list)) * float64(unsafe.Sizeof(list[0]))
	runtime.KeepAlive(list)
	r.row("list of 100,000 tokens", "plain", "live heap at its peak, to the slice with what it holds", size(kept), size(peak), peak/kept, 2.2, "%.2f")
	fmt.Fprintf(r.out, "| | | (to the slice's own memory alone) | %s | %s | %.2f | | |\n", size(bare), size(peak), peak/bare)
	return nil
}

func live() float64 {
	runtime.GC()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return float64(sample[0].Value.Uint64())
}

// peakLive is the most that any collection found alive while f ran, with
// collections following each other closely.
func peakLive(f func() error) (peak float64, err error) {
	defer debug.SetGCPercent(debug.SetGCPercent(2))
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				peak = max(peak, live())
			}
		}
	})
	err = f()
	close(done)
	wg.Wait()
	return peak, err
}

func (r *report) revokes() error {
	const latency = 20 * time.Millisecond
	srv, client, err := start(benchkit.Config{Latency: latency})
	if err != nil {
		return err
	}
	defer srv.Close()
	var best time.Duration
	for i := range min(r.rounds, 10) {
		begin := time.Now()
		err := parallel(64, 256, func() error { return client.Tokens.RevokeToken(r.ctx, benchkit.ID) })
		if err != nil {
			return err
		}
		if took := time.Since(begin); i == 0 || took < best {
			best = took
		}
	}
	four := 4 * latency
	r.row("256 revokes, 64 goroutines, 20 ms away", "", "time, to four round trips", four.String(), best.Round(100*time.Microsecond).String(), best.Seconds()/four.Seconds(), 1.3, "%.2f")
	return nil
}

func (r *report) connections() error {
	srv, client, err := start(benchkit.Config{})
	if err != nil {
		return err
	}
	defer srv.Close()
	if err := parallel(64, 6400, func() error { _, err := client.Tokens.GetTokenCurrent(r.ctx); return err }); err != nil {
		return err
	}
	opened := srv.Connections.Load()
	r.row("6,400 calls over 64 goroutines", "", "connections", "", strconv.FormatInt(opened, 10), float64(opened), 64, "%.0f")
	return nil
}

// parallel calls f calls times over so many goroutines, and returns an error of
// one of them.
func parallel(goroutines, calls int, f func() error) error {
	var wg sync.WaitGroup
	errs := make(chan error, calls)
	for range goroutines {
		wg.Go(func() {
			for range calls / goroutines {
				errs <- f()
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Two programs that do one get. They are compiled in a module of their own
// beside the library, as a user's would be.
const (
	bareMain = `package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

type token struct {
	ID        string     ` + "`json:\"id\"`" + `
	Name      string     ` + "`json:\"name\"`" + `
	ExpiresAt *time.Time ` + "`json:\"expires_at\"`" + `
}

func main() {
	req, err := http.NewRequest("GET", "https://api.fastly.com/tokens/self", nil)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Fastly-Key", os.Getenv("FASTLY_API_TOKEN"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	var t token
	if err := json.NewDecoder(resp.Body).Decode(&t); err != nil {
		panic(err)
	}
	fmt.Println(t.ID, t.Name, t.ExpiresAt)
}
`
	ourMain = `package main

import (
	"context"
	"fmt"

	"github.com/fastly-tokens/fastly"
)

func main() {
	client, err := fastly.NewClientFromEnv()
	if err != nil {
		panic(err)
	}
	t, err := client.Tokens.GetTokenCurrent(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println(t.ID, t.Name, t.ExpiresAt)
}
`
)

func (r *report) builds() error {
	root, err := goTool(r.ctx, "", nil, "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fastly-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	env := append(os.Environ(), "GOCACHE="+dir+"/cache", "GOFLAGS=-mod=mod", "GOWORK=off")
	goMod, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		return err
	}
	goSum, err := os.ReadFile(root + "/go.sum")
	if err != nil {
		return err
	}
	_, requires, _ := strings.Cut(string(goMod), "\n")
	for name, text := range map[string]string{
		"bare/main.go": bareMain,
		"ours/main.go": ourMain,
		"go.mod":       "module example.com/user\n" + requires + "\nrequire github.com/fastly-tokens/fastly v0.0.0\nreplace github.com/fastly-tokens/fastly => " + root + "\n",
		"go.sum":       string(goSum),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	if _, err := goTool(r.ctx, dir, env, "build", "std"); err != nil {
		return err
	}
	took := map[string]float64{}
	bytes := map[string]float64{}
	for _, name := range []string{"bare", "ours"} {
		// The first build also brings in what has to be downloaded.
		begin := time.Now()
		if _, err := goTool(r.ctx, dir, env, "build", "-o", name+".bin", "./"+name); err != nil {
			return err
		}
		took[name] = time.Since(begin).Seconds()
		info, err := os.Stat(dir + "/" + name + ".bin")
		if err != nil {
			return err
		}
		bytes[name] = float64(info.Size())
	}
	modules, err := goTool(r.ctx, dir, env, "version", "-m", "ours.bin")
	if err != nil {
		return err
	}
	deps := strings.Count(modules, "\tdep\t") - 1 // the library itself is one
	r.row("a main with one get", "", "cold build, seconds more", duration(took["bare"]), duration(took["ours"]), took["ours"]-took["bare"], 2, "%.2f")
	r.row("its binary", "", "MiB more", size(bytes["bare"]), size(bytes["ours"]), (bytes["ours"]-bytes["bare"])/(1<<20), 1.25, "%.2f")
	r.row("modules it compiles in beside this one", "", "number", "", strconv.Itoa(deps), float64(deps), 3, "%.0f")
	return nil
}

func goTool(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, env, os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
