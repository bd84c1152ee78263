// Command mutate makes small changes to the code, one at a time, and runs the
// tests on each. A change that no test notices is a gap in the tests, unless it
// changes no behavior; a list says so, with reasons.
//
//	go run ./mutate            # every mutant
//	go run ./mutate -time 90s  # some, at random
//	go run ./mutate -files retry.go -id retry.go:decide:case#3
//
// It flips comparisons, moves their boundaries, exchanges && and ||, negates
// conditions, exchanges true and false, drops statements, clauses of switches and
// single expressions of a case, increments and decrements numbers, doubles
// durations and empties strings. Mutants that don't compile are not counted.
//
// Compiling takes longer than most tests, so all mutants in functions are compiled
// into one test program, each as a copy of its function's body, and an environment
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
	"strings"
	"sync"
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
	folder, list, slowTests, id string
	files                       []string
	seed                        uint64
	budget                      time.Duration
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	files := flags.String("files", "retry.go,auth.go,errors.go,sentinels.go,decode.go,recover.go,body.go,transport.go,client.go,redact.go,ratelimit.go,tokens.go,keyfile.go", "`files` of the package, with commas between them")
	flags.StringVar(&o.folder, "dir", "..", "`folder` of the package")
	flags.StringVar(&o.list, "list", filepath.Join("mutate", "equivalent.txt"), "`file` with the mutants that change nothing")
	flags.StringVar(&o.slowTests, "slow", "Enumerat|Sequence", "`pattern` of the tests that run last")
	flags.StringVar(&o.id, "id", "", "run the mutant with this `ID` alone, and show what the tests say")
	flags.Uint64Var(&o.seed, "seed", rand.Uint64(), "`seed` of the order in which mutants are drawn")
	flags.DurationVar(&o.budget, "time", 0, "draw mutants at random, and begin with none after this `time`")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	o.files = strings.Split(*files, ",")
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) (exitCode int, err error) {
	o, err := parse(args)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	list, err := readList(o.list)
	if err != nil {
		return 0, err
	}
	work, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()

	c, err := load(ctx, o.folder, work)
	if err != nil {
		return 0, err
	}
	s, err := newSession(ctx, c, o)
	if err != nil {
		return 0, err
	}
	if s.took, err = s.baseline(ctx, "-test.skip", o.slowTests); err != nil {
		return 0, err
	}
	s.slow = sync.OnceValues(func() (time.Duration, error) { return s.baseline(ctx, "-test.run", o.slowTests) })
	since := func() time.Duration { return time.Since(begin).Round(time.Second) }
	fmt.Fprintf(out, "%d mutants, -seed %d; compiled and tested without any in %v\n", len(s.mutants), o.seed, since())

	var deadline time.Time
	if o.budget > 0 {
		deadline = begin.Add(o.budget)
	}
	counts := map[result]int{}
	listed := 0
	err = s.runAll(ctx, runtime.NumCPU(), s.draw(list), deadline, func(m *mutant, r result, output string) {
		isListed := list.has(m)
		switch {
		case r != survived && isListed:
			fmt.Fprintf(out, "%s: %s is listed, and a test finds it\n", o.list, m.id)
		case r == survived && isListed:
			listed++
			return
		case r == survived:
			fmt.Fprintf(out, "%s: %s\n\t%s\n", m.position, m.change, m.id)
		}
		counts[r]++
		if o.id != "" {
			fmt.Fprintf(out, "%s: %s\n%s\n", m.position, m.change, output)
		}
	})
	if err != nil {
		return 0, err
	}
	var problems []string
	if o.id == "" {
		problems = list.stale(s.mutants, o.files)
	}
	for _, line := range problems {
		fmt.Fprintf(out, "%s: %s\n", o.list, line)
	}
	fmt.Fprintf(out, "%d tried in %v: %d killed, %d timed out, %d survived that are listed, %d survived\n",
		counts[killed]+counts[timedOut]+counts[survived]+listed, since(), counts[killed], counts[timedOut], listed, counts[survived])
	if counts[survived] > 0 || len(problems) > 0 {
		return 1, nil
	}
	return 0, nil
}
