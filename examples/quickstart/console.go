package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
	"github.com/fastly-tokens/fastly/rotate"
)

const whyLogin = `-write creates tokens, which takes a user name and a password: a key alone can't.
They are sent to POST /tokens, without the key, and stored nowhere.
`

// console prompts at a terminal, and otherwise reads a line of its input each time.
type console struct {
	in     io.Reader
	out    io.Writer // for the prompts
	code   fastly.Secret
	typing bool
}

func newConsole(stdin io.Reader, out io.Writer) *console {
	return &console{in: stdin, out: out, typing: demo.IsTerminal(stdin)}
}

// login asks for user name and password, unless the environment has them.
func (c *console) login(ctx context.Context) (login rotate.Login, err error) {
	if os.Getenv("FASTLY_USERNAME") != "" && os.Getenv("FASTLY_PASSWORD_FILE") != "" {
		return demo.ReadLogin(c.in)
	}
	if _, err := io.WriteString(c.out, whyLogin); err != nil {
		return login, err
	}
	if login.Username, err = c.ask(ctx, "User name: "); err != nil {
		return login, err
	}
	if c.typing {
		show, err := c.hideTyping()
		if err != nil {
			return login, demo.Usagef("this terminal would show the password (%w): put it in the file of FASTLY_PASSWORD_FILE", err)
		}
		defer show()
	}
	password, err := c.ask(ctx, "Password: ")
	login.Password = fastly.Secret(password)
	return login, err
}

// newCode asks for a one-time password.
func (c *console) newCode(ctx context.Context) error {
	code, err := c.ask(ctx, "One-time password: ")
	c.code = fastly.Secret(code)
	return err
}

// ask returns a line, or an error when ctx ends.
func (c *console) ask(ctx context.Context, prompt string) (string, error) {
	if c.typing {
		if _, err := io.WriteString(c.out, prompt); err != nil {
			return "", err
		}
	}
	type result struct {
		line string
		err  error
	}
	results := make(chan result, 1)
	go func() { // reading can't be interrupted
		line, err := readLine(c.in)
		results <- result{line, err}
	}()
	select {
	case r := <-results:
		if r.err != nil {
			return "", demo.Usagef("%s%w", strings.ToLower(prompt), r.err)
		}
		return r.line, nil
	case <-ctx.Done():
		return "", errors.New("interrupted")
	}
}

// readLine reads a line and nothing after it: another call may read the rest.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := r.Read(b)
		switch {
		case n == 1 && b[0] != '\n' && len(line) < 4<<10:
			line = append(line, b[0])
		case n == 1 || err == io.EOF && len(line) > 0:
			if text := strings.TrimSuffix(string(line), "\r"); text != "" {
				return text, nil
			}
			return "", errors.New("it is empty")
		case err != nil:
			return "", err
		}
	}
}

// hideTyping switches the terminal's echo off, until show is called. It uses
// stty(1), so that it needs no other module.
func (c *console) hideTyping() (show func(), err error) {
	stty := func(args ...string) (string, error) {
		cmd := exec.CommandContext(context.Background(), "stty", args...) // #nosec G204 -- its arguments are ours or its own
		cmd.Stdin = c.in
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
	before, err := stty("-g")
	if err != nil {
		return nil, err
	}
	show = func() {
		_, _ = stty(before)
		_, _ = fmt.Fprintln(c.out)
	}
	if _, err = stty("-echo"); err != nil {
		show()
		return nil, err
	}
	return show, nil
}
