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

// unasked says why nobody is asked, "" if somebody can be: a CI job may have a terminal.
func (a *app) unasked() string {
	ci := a.getenv("CI")
	_, isTerminal := a.terminal()
	switch {
	case a.noInput:
		return "because of --no-input"
	case ci != "" && ci != "false":
		return "because CI is set"
	case !isTerminal:
		return "because standard input is not a terminal"
	}
	return ""
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
	var text string
	var err error
	done := make(chan struct{})
	go func() {
		text, err = read()
		close(done)
	}()
	select {
	case <-done:
		return text, err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

var errNothingTyped = errors.New("nothing was typed")
