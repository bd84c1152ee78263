package main

import (
	"bufio"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// result is the outcome of the tests on a mutant.
type result int

const (
	survived result = iota
	killed
	timedOut
)

// phase is a part of the tests. Later phases run only if it finds no mutant.
type phase struct {
	args    []string
	timeout time.Duration
}

var failure = regexp.MustCompile(`^\s*(--- FAIL: |FAIL$|panic: )`)

// test runs a part of the tests on a mutant, up to the first that fails.
func (s *session) test(run context.Context, program string, number int, p phase) (r result, output string, err error) {
	ctx, cancel := context.WithTimeout(run, p.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"-test.failfast"}, p.args...)...) //nolint:gosec // of this program's own making
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", variable, number))
	isolate(cmd)
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
	var tail []string
	for lines := bufio.NewReader(stdout); ; {
		line, err := lines.ReadString('\n')
		if tail = append(tail, line); len(tail) > 40 {
			tail = tail[1:]
		}
		if failure.MatchString(line) {
			failed = true
			cancel() // one failure is enough
		}
		if err != nil {
			break
		}
	}
	err = cmd.Wait()
	s.processor.Add(int64(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()))
	output = strings.Join(tail, "")
	switch {
	case failed:
		return killed, output, nil
	case run.Err() != nil:
		return 0, output, run.Err()
	case ctx.Err() != nil:
		return timedOut, output, nil
	case err != nil:
		return killed, output, nil // by the check for leaked goroutines at the end
	}
	return survived, output, nil
}

// phases orders the tests that are not slow: first those in the test file of
// the mutant's own file, then the others.
func phases(m *mutant, slow string, timeout time.Duration) ([]phase, error) {
	own, err := ownTests(m.source.path)
	if err != nil {
		return nil, err
	}
	var list []phase
	skip := slow
	if len(own) > 0 {
		pattern := "^(" + strings.Join(own, "|") + ")$"
		list = append(list, phase{[]string{"-test.run", pattern, "-test.skip", slow}, timeout})
		skip = slow + "|" + pattern
	}
	return append(list, phase{[]string{"-test.skip", skip}, timeout}), nil
}

var isTest = regexp.MustCompile("^(Test|Fuzz|Example)")

// ownTests returns the names of the tests in foo_test.go and foo_*_test.go.
func ownTests(path string) ([]string, error) {
	stem := strings.TrimSuffix(path, ".go")
	files, err := filepath.Glob(stem + "_*test.go")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range file.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Recv == nil && isTest.MatchString(d.Name.Name) {
				names = append(names, d.Name.Name)
			}
		}
	}
	return names, nil
}
