package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/fastly-tokens/fastly/fastlytest"
)

// console asks at a terminal, or else takes the answers from the lines of its
// input, one each.
type console struct {
	in      *bufio.Reader
	fd      int // of the terminal, or -1
	prompts io.Writer
}

func newConsole(stdin io.Reader, prompts io.Writer) *console {
	c := &console{in: bufio.NewReader(stdin), fd: -1, prompts: prompts}
	if f, ok := stdin.(*os.File); ok {
		if fd := int(f.Fd()); term.IsTerminal(fd) {
			c.fd = fd
		}
	}
	return c
}

func (c *console) isTerminal() bool { return c.fd >= 0 }

func (c *console) username(ctx context.Context) (string, error) {
	return c.ask(ctx, "User name: ", true)
}

func (c *console) password(ctx context.Context) (string, error) {
	return c.ask(ctx, "Password: ", false)
}

func (c *console) code(ctx context.Context) (string, error) {
	return c.ask(ctx, "One-time code: ", true)
}

// ask returns the answer, even if it takes for ever, or ctx's end. What is typed
// shows only with echo.
func (c *console) ask(ctx context.Context, prompt string, echo bool) (string, error) {
	read := c.line
	restore := func() {}
	if c.isTerminal() {
		if _, err := io.WriteString(c.prompts, prompt); err != nil {
			return "", err
		}
		if !echo {
			read = c.hidden
			if state, err := term.GetState(c.fd); err == nil {
				restore = func() { _ = term.Restore(c.fd, state) } // nothing else to try
			}
		}
	}
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // reading can't be interrupted
		text, err := read()
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		if a.err == nil && a.text == "" {
			a.err = errors.New("it is empty")
		}
		if a.err != nil {
			return "", fmt.Errorf("%s%w", strings.ToLower(prompt), a.err)
		}
		return a.text, nil
	case <-ctx.Done():
		restore()
		return "", errors.New("interrupted; nothing was created")
	}
}

// maxLine bounds an answer.
const maxLine = 4096

func (c *console) line() (string, error) {
	var line []byte
	for {
		b, err := c.in.ReadByte()
		switch {
		case err == io.EOF && len(line) > 0, err == nil && b == '\n':
			return strings.TrimSuffix(string(line), "\r"), nil
		case err == io.EOF:
			return "", errors.New("the input has ended")
		case err != nil:
			return "", err
		case len(line) == maxLine:
			return "", fmt.Errorf("the line is longer than %d bytes", maxLine)
		}
		line = append(line, b)
	}
}

func (c *console) hidden() (string, error) {
	text, err := term.ReadPassword(c.fd)
	if _, werr := io.WriteString(c.prompts, "\n"); err == nil {
		err = werr
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the input has ended")
	}
	return string(text), err
}

// scripted knows a user's answers.
type scripted fastlytest.User

func (s scripted) username(context.Context) (string, error) { return s.Login, nil }
func (s scripted) password(context.Context) (string, error) { return s.Password, nil }
func (s scripted) code(context.Context) (string, error)     { return s.OTP, nil }
