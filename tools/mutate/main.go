// Command mutate makes small changes to the code, one at a time, and runs the
// tests on each. A change that no test notices is a gap in the tests, unless it
// changes no behavior; a list says so, with reasons.
//
//	go run ./mutate                      # every mutant
//	go run ./mutate -n 60 -time 90s      # some, at random
//	go run ./mutate -files retry.go -id retry.go:decide:case#3
//
// It flips comparisons, moves their boundaries, exchanges && and ||, negates
// conditions, exchanges true and false, drops statements, clauses of switches and
// single expressions of a case, increments and decrements numbers, doubles
// durations and empties strings. Mutants that don't compile are not counted.
//
// Compiling takes longer than most tests, so all mutants in functions are compiled
// into one test program, each as a copy of its function, and an environment
// variable selects the copy that runs. Mutants outside functions are compiled one
// by one.
//
// The exit code is 1 if a mutant survives that is not in the list, or the list
// has an entry for a mutant that does not exist; 2 if anything else goes wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code, err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	}
	os.Exit(code)
}

type options struct {
	dir, list, slow, id string
	files               []string
	seed                uint64
	n                   int
	budget              time.Duration
}

func parse(args []string) (options, error) {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	var o options
	files := flags.String("files", "retry.go,auth.go,errors.go,transport.go,client.go,redact.go,ratelimit.go,tokens.go,keyfile.go", "`files` of the package, with commas between them")
	flags.StringVar(&o.dir, "dir", "..", "`folder` of the package")
	flags.StringVar(&o.list, "list", filepath.Join("mutate", "equivalent.txt"), "`file` with the mutants that change nothing")
	flags.StringVar(&o.slow, "slow", "Enumerat|Sequence", "`pattern` of the tests that run last")
	flags.StringVar(&o.id, "id", "", "run the mutant with this `ID` alone, and show what the tests say")
	flags.Uint64Var(&o.seed, "seed", 0, "`seed` of the order in which mutants are drawn; 0 is a random one")
	flags.IntVar(&o.n, "n", 0, "draw this many mutants; 0 is all")
	flags.DurationVar(&o.budget, "time", 0, "begin with no mutant after this `time`; 0 is no limit")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || o.n < 0 || o.budget < 0 {
		return o, errors.New("arguments that are not flags, or negative numbers")
	}
	o.files = strings.Split(*files, ",")
	for o.seed == 0 {
		o.seed = rand.Uint64() //nolint:gosec // which mutants to draw is no secret
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) (exitCode int, err error) {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	begin := time.Now()
	limitMemory()
	list, err := readList(o.list)
	if err != nil {
		return 0, err
	}
	work, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()

	c, err := load(ctx, o.dir, work)
	if err != nil {
		return 0, err
	}
	all, err := c.mutants(o.files)
	if err != nil {
		return 0, err
	}
	if o.id != "" {
		all = slices.DeleteFunc(all, func(m *mutant) bool { return m.id != o.id })
	}
	s, err := c.newSession(ctx, all, o)
	if err != nil {
		return 0, err
	}
	drawn := s.draw(o, list)
	fmt.Fprintf(out, "%d mutants in %s, and %d that do not compile; %d drawn with -seed %d\n",
		len(s.mutants), strings.Join(o.files, ", "), len(all)-len(s.mutants), len(drawn), o.seed)
	if s.took, err = s.baseline(ctx, "-test.skip", o.slow); err != nil {
		return 0, err
	}
	s.slow = sync.OnceValues(func() (time.Duration, error) { return s.baseline(ctx, "-test.run", o.slow) })
	s.processor.Store(0)
	fmt.Fprintf(out, "compiled and tested without any in %v; the tests take %v\n", time.Since(begin).Round(time.Second), s.took.Round(time.Second))

	t := s.runAll(ctx, drawn, list, begin, out)
	if t.err != nil {
		return 0, t.err
	}
	var problems []string
	if o.id == "" {
		problems = stale(list, s.mutants, o.files)
	}
	slices.Sort(problems)
	for _, line := range problems {
		fmt.Fprintf(out, "%s: %s\n", o.list, line)
	}
	for _, id := range t.needless {
		fmt.Fprintf(out, "%s: %s is listed, and a test finds it\n", o.list, id)
	}
	fmt.Fprintf(out, "%d tried in %v: %d killed, %d timed out, %d survived that are listed, %d survived; %v of processor time for each\n",
		t.tried, time.Since(begin).Round(time.Second), t.killed, t.timedOut, t.listed, t.survived,
		(time.Duration(s.processor.Load()) / time.Duration(max(t.tried, 1))).Round(time.Millisecond))
	if t.survived > 0 || len(problems) > 0 {
		return 1, nil
	}
	return 0, nil
}

// mutants returns all mutants of the files, in their order.
func (c *code) mutants(files []string) ([]*mutant, error) {
	info, failures := c.check(nil)
	if len(failures) > 0 {
		return nil, failures[0]
	}
	var all []*mutant
	for _, name := range files {
		at := slices.IndexFunc(c.sources, func(s *source) bool { return s.base == name })
		if at < 0 {
			return nil, fmt.Errorf("the package has no file %s", name)
		}
		all = append(all, findMutants(c.sources[at], info)...)
	}
	return all, nil
}

// session runs mutants.
type session struct {
	*code
	options options
	mutants []*mutant // that compile
	numbers map[*mutant]int
	program string // that can run all mutants with a number
	took    time.Duration
	slow    func() (time.Duration, error) // how long the slow tests take; called only if a mutant survives the others

	processor atomic.Int64 // nanoseconds that the tests of the mutants took
}

func (c *code) newSession(ctx context.Context, all []*mutant, o options) (*session, error) {
	switched, single, files, err := c.compiling(all)
	if err != nil {
		return nil, err
	}
	s := &session{code: c, options: o, numbers: map[*mutant]int{}}
	for i, m := range switched {
		s.numbers[m] = i + 1
	}
	// In the order of the files again.
	for _, m := range all {
		if s.numbers[m] > 0 || slices.Contains(single, m) {
			s.mutants = append(s.mutants, m)
		}
	}
	if len(s.mutants) == 0 {
		return nil, errors.New("no such mutant, or none that compiles")
	}
	s.program, err = c.compile(ctx, files)
	return s, err
}

// draw returns the mutants to run, in order. Listed mutants take longest, and are
// run only if all are.
func (s *session) draw(o options, list map[string]equivalent) []*mutant {
	drawn := slices.Clone(s.mutants)
	if o.n > 0 || o.budget > 0 {
		drawn = slices.DeleteFunc(drawn, func(m *mutant) bool { return m.isListed(list) })
		rnd := rand.New(rand.NewPCG(o.seed, 0)) //nolint:gosec // as above
		rnd.Shuffle(len(drawn), func(i, j int) { drawn[i], drawn[j] = drawn[j], drawn[i] })
	}
	if o.n > 0 {
		drawn = drawn[:min(o.n, len(drawn))]
	}
	return drawn
}

// baseline checks that the tests selected by args pass without a mutant, and
// measures how long they take.
func (s *session) baseline(ctx context.Context, args ...string) (time.Duration, error) {
	start := time.Now()
	r, output, err := s.test(ctx, s.program, 0, phase{args, 10 * time.Minute})
	if err == nil && r != survived {
		err = fmt.Errorf("the tests fail without any mutant:\n%s", output)
	}
	return time.Since(start), err
}

// runOne compiles a mutant, if that is not done yet, and runs the tests on it.
func (s *session) runOne(ctx context.Context, m *mutant) (result, string, error) {
	program, number := s.program, s.numbers[m]
	if number == 0 {
		var err error
		if program, err = s.compile(ctx, map[*source]string{m.source: m.apply()}); err != nil {
			return 0, "", err
		}
		defer func() { _ = os.Remove(program) }() //nolint:gosec // compile made it; it is big, and its folder goes anyway
	}
	list, err := phases(m, s.options.slow, s.patience(s.took))
	if err != nil {
		return 0, "", err
	}
	for _, p := range list {
		if r, output, err := s.test(ctx, program, number, p); err != nil || r != survived {
			return r, output, err
		}
	}
	took, err := s.slow()
	if err != nil {
		return 0, "", err
	}
	return s.test(ctx, program, number, phase{[]string{"-test.run", s.options.slow}, s.patience(took)})
}

// patience returns how long to wait for tests that usually take that long: others
// run at the same time, and the machine may be busy.
func (s *session) patience(took time.Duration) time.Duration { return 4*took + 10*time.Second }

// totals counts the results of all mutants.
type totals struct {
	tried, killed, timedOut, listed, survived int
	needless                                  []string // listed, and killed
	err                                       error
}

// runAll runs mutants, as many at a time as there are processors, and prints
// those that survive.
func (s *session) runAll(ctx context.Context, mutants []*mutant, list map[string]equivalent, begin time.Time, out io.Writer) totals {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		mu sync.Mutex
		t  totals
		wg sync.WaitGroup
	)
	note := func(m *mutant, r result, output string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.err = errors.Join(t.err, err)
			cancel()
			return
		}
		t.tried++
		isListed := m.isListed(list)
		switch {
		case r == killed, r == timedOut:
			if r == killed {
				t.killed++
			} else {
				t.timedOut++
			}
			if isListed {
				t.needless = append(t.needless, m.id)
			}
		case isListed:
			t.listed++
		default:
			t.survived++
			fmt.Fprintf(out, "%s: %s\n\t%s\n", m.position, m.change(), m.id)
		}
		if s.options.id != "" {
			fmt.Fprintf(out, "%s: %s\n%s\n", m.position, m.change(), output)
		}
	}
	queue := make(chan *mutant)
	for range runtime.NumCPU() {
		wg.Go(func() {
			for m := range queue {
				r, output, err := s.runOne(ctx, m)
				note(m, r, output, err)
			}
		})
	}
	for _, m := range mutants {
		if s.options.budget > 0 && time.Since(begin) > s.options.budget || ctx.Err() != nil {
			break
		}
		queue <- m
	}
	close(queue)
	wg.Wait()
	return t
}
