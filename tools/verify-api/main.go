// Command verify-api checks on a real account, or on any server, that the Tokens API
// is what docs/api.md takes it to be:
//
//	go run ./verify-api          # reads only
//	go run ./verify-api --write  # also creates tokens, for ten minutes
package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/facts"
	"github.com/fastly-tokens/fastly/internal/origin"
	"github.com/fastly-tokens/fastly/internal/secretfile"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

const usage = `verify-api checks the facts of docs/api.md. It prints what holds and what does not,
and a transcript with everything private replaced, to attach to an issue.

By default it only reads. With --write it also creates tokens, which can do little
and end after ten minutes, and revokes them. Unless the server runs on this machine,
it never sends a wrong password or code, or anything that may lock a user, use up the
rate limit or make a token without limit or end.

Credentials come from the environment:
  FASTLY_API_TOKEN         an API key; for --write, of scope global
  FASTLY_USERNAME          for --write: the user of that key
  FASTLY_PASSWORD_FILE     for --write: a file with the password
  FASTLY_OTP_FILE          a file with a one-time password (default: a prompt for each)
  FASTLY_PURGE_TOKEN       a key of a purge scope (default: that of a token that --write creates)
  FASTLY_AUTOMATION_TOKEN  the key of an automation token of the same customer
  FASTLY_OTHER_TOKEN       for --write: a key of scope global, of another user of the customer
  FASTLY_SERVICE_IDS       two services, "ID,ID", for a token that is limited to them

Flags:
  --url URL  base URL of the API (default $FASTLY_API_URL, else https://api.fastly.com)
  --write    create and revoke tokens, too
  --sudo     with --write: send the password to /sudo, too
  --yes      begin without asking
`

// app is a run of the command. Tests replace the first fields.
type app struct {
	getenv         func(string) string
	stdin          *bufio.Reader
	stdout, stderr io.Writer
	transport      http.RoundTripper
	wait           func(context.Context, time.Duration) error

	yes   bool
	codes map[string]bool // one-time passwords that were used
	probe *facts.Probe
	guard *guard
}

func main() {
	// Output that nobody reads must not end a run before its tokens are revoked.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(),
		os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	a := &app{
		getenv: os.Getenv, stdin: bufio.NewReader(os.Stdin), stdout: os.Stdout, stderr: os.Stderr,
		transport: transport, wait: sleep,
	}
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run returns the exit code: 1 if a fact does not hold, or the run ended early or left
// a token; 2 if it did not begin.
func (a *app) run(ctx context.Context, args []string) int {
	err := a.prepare(args)
	if err == nil {
		err = a.confirm(ctx)
	}
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(a.stderr, "verify-api:", err)
		return 2
	}
	if !a.probe.Write {
		return a.check(ctx)
	}
	if err := a.probe.CanRevoke(ctx); err != nil {
		fmt.Fprintf(a.stderr, "Nothing is created: %s.\n", err)
		a.probe.Write = false
		return max(a.check(ctx), 1)
	}
	return a.check(ctx)
}

func (a *app) prepare(args []string) error {
	flags := flag.NewFlagSet("verify-api", flag.ContinueOnError)
	flags.SetOutput(a.stderr)
	flags.Usage = func() { fmt.Fprint(a.stderr, usage) } // PrintDefaults would write -write
	base := flags.String("url", "", "")
	write, sudo := flags.Bool("write", false, ""), flags.Bool("sudo", false, "")
	flags.BoolVar(&a.yes, "yes", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	api := cmp.Or(*base, a.getenv("FASTLY_API_URL"), fastly.DefaultBaseURL)
	if _, err := fastly.NewClient(fastly.WithBaseURL(api), fastly.WithoutAuthentication()); err != nil {
		return err
	}
	u, err := url.Parse(api)
	if err != nil {
		return errors.New("the base URL is not valid")
	}
	u.Host, u.Path = strings.ToLower(u.Host), strings.TrimRight(u.Path, "/")
	p := &facts.Probe{
		URL: u.String(), Name: "verify-api " + strings.ToLower(rand.Text()[:6]),
		Key:        cmp.Or(a.getenv("FASTLY_API_TOKEN"), a.getenv("FASTLY_API_KEY")),
		PurgeToken: a.getenv("FASTLY_PURGE_TOKEN"), AutomationToken: a.getenv("FASTLY_AUTOMATION_TOKEN"),
		OtherKey: a.getenv("FASTLY_OTHER_TOKEN"),
		Services: strings.FieldsFunc(a.getenv("FASTLY_SERVICE_IDS"), func(r rune) bool { return r == ',' }),
		Code:     a.code, Wait: a.wait,
		Write: *write, Sudo: *write && *sudo, Harmful: *write && origin.IsLoopback(u.Hostname()),
	}
	if *write {
		p.Username = a.getenv("FASTLY_USERNAME")
		if p.Password, err = secretfile.Read(a.getenv("FASTLY_PASSWORD_FILE")); err != nil {
			return fmt.Errorf("FASTLY_PASSWORD_FILE: %w", err)
		}
	}
	if p.Key == "" || *write && p.Username == "" {
		return errors.New("set FASTLY_API_TOKEN, and for --write FASTLY_USERNAME and FASTLY_PASSWORD_FILE")
	}
	a.probe, a.codes = p, map[string]bool{}
	a.guard = &guard{fact: facts.Fact{ID: "(before the first fact)"}, host: u.Host, probe: p, base: a.transport, private: newPrivate(p)}
	p.Transport = a.guard
	return nil
}

// confirm says what the run will do, and asks.
func (a *app) confirm(ctx context.Context) error {
	fmt.Fprintf(a.stderr, "This sends requests to %s with your API key.\n", a.guard.host)
	if a.probe.Write {
		fmt.Fprintf(a.stderr, "It logs in as %s, creates up to 15 tokens with names like %q, and revokes them.\n"+
			"At most %d of the requests count toward your rate limit.\n", terminal.Escape(a.probe.Username), a.probe.Name+" 1", maxCounted)
	}
	if a.probe.Harmful {
		fmt.Fprintln(a.stderr, "The server is on this machine, so this also locks the user and uses up the rate limit.")
	}
	if a.yes {
		return nil
	}
	answer, err := a.ask(ctx, `Type "yes" to begin: `)
	if err == nil && answer != "yes" {
		err = errors.New("nothing was sent")
	}
	return err
}

// ask asks for a line of input. At the end of the input it is empty.
func (a *app) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(a.stderr, question)
	typed := make(chan string, 1)
	go func() {
		line, _ := a.stdin.ReadString('\n')
		typed <- strings.TrimSpace(line)
	}()
	select {
	case line := <-typed:
		return line, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// code returns a one-time password that was not used: a used one is a wrong one.
func (a *app) code(ctx context.Context) (code string, err error) {
	if path := a.getenv("FASTLY_OTP_FILE"); path != "" {
		code, err = secretfile.Read(path)
	} else {
		code, err = a.ask(ctx, "A new one-time password, for the next login: ")
	}
	if err == nil && (code == "" || a.codes[code]) {
		err = errors.New("it is empty, or was used before")
	}
	a.codes[code] = true
	a.guard.private.secret("code", code)
	return code, err
}

func sleep(ctx context.Context, d time.Duration) error {
	fmt.Fprintf(os.Stderr, "Waiting %s for a token to expire.\n", d)
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// check checks the facts, revokes the tokens and prints the results.
func (a *app) check(ctx context.Context) int {
	var table strings.Builder
	counts := map[facts.Verdict]int{}
	clean := false
	func() {
		defer func() { clean = a.cleanUp(ctx) }() // whatever happens
		for _, g := range facts.Groups() {
			for _, f := range g.Facts {
				verdict, reason := a.guard.check(ctx, f)
				counts[verdict]++
				fmt.Fprintf(&table, "%-34s %-14s %s\n", f.ID, verdict, a.guard.private.text(reason))
			}
		}
	}()
	fmt.Fprintf(a.stdout, "%s\nHolds: %d. Does not hold: %d. Can't tell: %d. Requests that count toward the rate limit: %d.\n\n%s", &table,
		counts[facts.Holds], counts[facts.DoesNotHold], counts[facts.CantTell], a.guard.counted, &a.guard.transcript)
	if !clean || counts[facts.DoesNotHold] > 0 || a.guard.stopped != "" || ctx.Err() != nil {
		return 1
	}
	return 0
}

// cleanUp revokes the tokens, also after an interrupt, and reports whether none is left.
func (a *app) cleanUp(ctx context.Context) bool {
	a.guard.cleaning, a.guard.fact = true, facts.Fact{ID: "(revoking what is left)"}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	left, sure := a.probe.CleanUp(ctx)
	for id, name := range left {
		fmt.Fprintf(a.stderr, "Token %s, named %q, is left, and works for ten minutes at most: revoke it.\n", terminal.Escape(id), name)
	}
	sure = sure && a.guard.lost == 0 // a list may lag behind
	if !sure {
		fmt.Fprintf(a.stderr, "Tokens with names like %q may be left, and work for ten minutes at most.\n", a.probe.Name+" 1")
	}
	return sure && len(left) == 0
}
