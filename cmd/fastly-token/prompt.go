package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// terminal returns the descriptor of stdin if that is a terminal.
func (a *app) terminal() (fd int, ok bool) {
	f, ok := a.stdin.(*os.File)
	if !ok {
		return 0, false
	}
	fd = int(f.Fd())
	return fd, term.IsTerminal(fd)
}

func (a *app) isTerminal() bool {
	_, ok := a.terminal()
	return ok
}

// ask prompts at the terminal. Without echo, the terminal does not show what is
// typed; when ask returns, echo is on again, even if ctx has ended.
func (a *app) ask(ctx context.Context, prompt string, echo bool) (string, error) {
	fd, _ := a.terminal()
	state, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(a.stderr, prompt); err != nil {
		return "", err
	}
	text, err := await(ctx, func() (string, error) {
		if echo {
			return readLine(a.stdin)
		}
		typed, err := term.ReadPassword(fd)
		return string(typed), err
	})
	interrupted := err != nil && ctx.Err() != nil
	if interrupted && !echo {
		restore(fd, state)
	}
	if interrupted || !echo {
		_, _ = io.WriteString(a.stderr, "\n") // the one that was typed is not shown, either
	}
	if errors.Is(err, io.EOF) || err == nil && text == "" {
		return "", &usageError{err: fmt.Errorf("%s%w", prompt, errNothingTyped), complete: true}
	}
	return text, err
}

// await calls read, which can't be interrupted, and returns when ctx ends.
func await(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	results := make(chan result, 1)
	go func() {
		text, err := read()
		results <- result{text, err}
	}()
	select {
	case r := <-results:
		return r.text, r.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

var errNothingTyped = errors.New("nothing was typed")

// restore restores the state that the terminal had before [term.ReadPassword],
// which may be just about to change it.
func restore(fd int, before *term.State) {
	for range 200 {
		if now, err := term.GetState(fd); err != nil || *now != *before {
			break
		}
		time.Sleep(time.Millisecond)
	}
	_ = term.Restore(fd, before) // nothing else to try
}

// readLine reads a line and nothing after it: the rest may be for somebody else.
func readLine(r io.Reader) (string, error) {
	var line []byte
	buf := make([]byte, 1)
	for {
		n, err := r.Read(buf)
		switch {
		case n == 1 && buf[0] == '\n', err == io.EOF && len(line) > 0:
			return strings.TrimSuffix(string(line), "\r"), nil
		case n == 1 && len(line) == maxSecret:
			return "", fmt.Errorf("the line is longer than %d bytes", maxSecret)
		case n == 1:
			line = append(line, buf[0])
		case err != nil:
			return "", err
		}
	}
}
