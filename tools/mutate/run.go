package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// result is the outcome of the tests on a mutant.
type result int

const (
	survived result = iota
	killed
	timedOut
	doesNotCompile
)

// session runs mutants.
type session struct {
	*code
	options
	mutants []*mutant // in their order, without those of functions that do not compile
	numbers map[*mutant]int
	program string // that can run all mutants with a number
	took    time.Duration
	slow    func() (time.Duration, error) // how long the slow tests take; called only if a mutant survives the others
}

// newSession compiles the mutants in functions together. The others are compiled
// when they are run.
func newSession(ctx context.Context, c *code, o options) (*session, error) {
	s := &session{code: c, options: o}
	var switched []*mutant
	for _, name := range o.files {
		at := slices.IndexFunc(c.sources, func(s *source) bool { return s.base == name })
		if at < 0 {
			return nil, fmt.Errorf("the package has no file %s", name)
		}
		s.mutants = append(s.mutants, c.find(c.sources[at])...)
	}
	if o.id != "" {
		s.mutants = slices.DeleteFunc(s.mutants, func(m *mutant) bool { return m.id != o.id })
	}
	for _, m := range s.mutants {
		if m.canSwitch() {
			switched = append(switched, m)
		}
	}
	numbers, files, err := c.together(switched)
	if err != nil {
		return nil, err
	}
	s.mutants = slices.DeleteFunc(s.mutants, func(m *mutant) bool { return m.canSwitch() && numbers[m] == 0 })
	if len(s.mutants) == 0 {
		return nil, errors.New("no such mutant, or none that compiles")
	}
	s.numbers = numbers
	s.program, err = c.compile(ctx, files)
	return s, err
}

// draw returns the mutants to run, in order. Listed mutants take longest, and are
// run only if all are.
func (s *session) draw(list equivalents) []*mutant {
	drawn := slices.Clone(s.mutants)
	if s.budget > 0 {
		drawn = slices.DeleteFunc(drawn, list.has)
		rnd := rand.New(rand.NewPCG(s.seed, 0))
		rnd.Shuffle(len(drawn), func(i, j int) { drawn[i], drawn[j] = drawn[j], drawn[i] })
	}
	return drawn
}

// baseline checks that the tests selected by args pass without a mutant, and
// measures how long they take.
func (s *session) baseline(ctx context.Context, args ...string) (time.Duration, error) {
	start := time.Now()
	r, output, err := s.test(ctx, s.program, 0, 10*time.Minute, args...)
	if err == nil && r != survived {
		err = fmt.Errorf("the tests fail without any mutant:\n%s", output)
	}
	return time.Since(start), err
}

var failure = regexp.MustCompile(`^\s*(--- FAIL: |FAIL$|panic: )`)

// test runs some of the tests on a mutant, up to the first that fails.
func (s *session) test(run context.Context, program string, number int, timeout time.Duration, args ...string) (r result, output string, err error) {
	ctx, cancel := context.WithTimeout(run, timeout)
	defer cancel()
	// A mutant that allocates without end fails before the machine does.
	const limited = `ulimit -v 8388608 2>/dev/null; exec "$0" -test.failfast "$@"`
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", limited, program}, args...)...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", variable, number))
	cmd.WaitDelay = 10 * time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, "", err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return 0, "", err
	}
	failed := false
	var text strings.Builder
	for lines := bufio.NewReader(stdout); ; {
		line, err := lines.ReadString('\n')
		text.WriteString(line)
		if failure.MatchString(line) {
			failed = true
			cancel() // one failure is enough
		}
		if err != nil {
			break
		}
	}
	err = cmd.Wait()
	switch {
	case failed:
		return killed, text.String(), nil
	case run.Err() != nil:
		return 0, "", run.Err()
	case ctx.Err() != nil:
		return timedOut, text.String(), nil
	case err != nil:
		return killed, text.String(), nil // by the check for leaked goroutines at the end
	}
	return survived, text.String(), nil
}

// runOne compiles a mutant, if that is not done yet, and runs the tests on it:
// first those in the test files of the mutant's own file, then the others, and the
// slow ones last.
func (s *session) runOne(ctx context.Context, m *mutant) (result, string, error) {
	program, number := s.program, s.numbers[m]
	if number == 0 {
		changed := map[*source]string{m.source: m.apply()}
		if len(s.check(changed)) > 0 {
			return doesNotCompile, "", nil
		}
		var err error
		if program, err = s.compile(ctx, changed); err != nil {
			return 0, "", err
		}
		defer func() { _ = os.Remove(program) }() // it is big, and its folder goes anyway
	}
	own, err := ownTests(m.source.path)
	if err != nil {
		return 0, "", err
	}
	r, output, err := s.test(ctx, program, number, patience(s.took), "-test.run", own, "-test.skip", s.slowTests)
	if err == nil && r == survived {
		r, output, err = s.test(ctx, program, number, patience(s.took), "-test.skip", s.slowTests+"|"+own)
	}
	if err != nil || r != survived {
		return r, output, err
	}
	took, err := s.slow()
	if err != nil {
		return 0, "", err
	}
	return s.test(ctx, program, number, patience(took), "-test.run", s.slowTests)
}

// patience returns how long to wait for tests that usually take that long: others
// run at the same time, and the machine may be busy.
func patience(took time.Duration) time.Duration { return 4*took + 10*time.Second }

var testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)

// ownTests returns a pattern of the tests in foo_test.go and foo_*_test.go, which
// matches nothing if there are none.
func ownTests(path string) (string, error) {
	files, err := filepath.Glob(strings.TrimSuffix(path, ".go") + "_*test.go")
	if err != nil {
		return "", err
	}
	names := []string{"none"}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		for _, match := range testFunction.FindAllStringSubmatch(string(text), -1) {
			names = append(names, match[1])
		}
	}
	return "^(" + strings.Join(names, "|") + ")$", nil
}

// runAll runs mutants, as many at a time as there are processors, and calls note
// for each in turn. It begins with none after the deadline, unless that is zero.
func (s *session) runAll(ctx context.Context, workers int, mutants []*mutant, deadline time.Time, note func(*mutant, result, string)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var wg sync.WaitGroup
	queue := make(chan *mutant)
	for range workers {
		wg.Go(func() {
			for m := range queue {
				r, output, err := s.runOne(ctx, m)
				mu.Lock()
				if err != nil {
					cancel(err)
				} else {
					note(m, r, output)
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range mutants {
		if ctx.Err() != nil || !deadline.IsZero() && time.Now().After(deadline) {
			break
		}
		queue <- m
	}
	close(queue)
	wg.Wait()
	return context.Cause(ctx)
}
