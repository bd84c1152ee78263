package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/fastly-tokens/fastly/internal/secretfile"
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

// canAsk reports whether there is somebody to ask: not in a CI job, even if it has a terminal.
func (a *app) canAsk() bool {
	if ci := a.getenv("CI"); a.noInput || ci != "" && ci != "false" {
		return false
	}
	_, ok := a.terminal()
	return ok
}

// ask prompts at the terminal. Return and Ctrl-D end the answer. Without echo, the terminal does
// not show what is typed; when ask returns, echo is on again, even if ctx has ended.
func (a *app) ask(ctx context.Context, prompt string, echo bool) (string, error) {
	if _, err := io.WriteString(a.stderr, prompt); err != nil {
		return "", err
	}
	if !echo {
		fd, _ := a.terminal()
		restore, err := hideInput(fd)
		if err != nil {
			return "", err
		}
		defer restore()
	}
	text, err := await(ctx, func() (string, error) {
		line := make([]byte, secretfile.Max) // a terminal gives one line, or what there is at Ctrl-D
		n, err := a.stdin.Read(line)
		return string(line[:n]), err
	})
	if !strings.HasSuffix(text, "\n") || !echo { // the one that was typed is not shown, either
		_, _ = io.WriteString(a.stderr, "\n")
	}
	text = strings.TrimRight(text, "\r\n")
	if errors.Is(err, io.EOF) || err == nil && text == "" {
		return "", usagef("%s%w", prompt, errNothingTyped)
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
