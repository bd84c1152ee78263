package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
)

// Exit codes.
const (
	exitClean    = 0
	exitFindings = 1
	exitError    = 2
)

var usage = demo.Usage{
	Name:     "audit",
	Purpose:  "Finds the Fastly API tokens that are a risk or about to be a problem.",
	Synopsis: []string{"[flags]"},
	Codes: []string{
		"0    nothing was found, or all of it was revoked",
		"1    there are findings",
		"2    an error, wrong flags included",
		"130  interrupted",
	},
}

func main() { demo.Main(run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := audit{
		connect: demo.Client, credentials: demo.HasCredentials(), isTerminal: demo.IsTerminal,
		stdin: stdin, stdout: stdout, stderr: stderr,
	}
	return a.run(ctx, args)
}

// audit is the program and its surroundings.
type audit struct {
	connect     demo.Connector
	credentials bool // of the environment
	isTerminal  func(stream any) bool
	stdin       io.Reader
	stdout      io.Writer
	stderr      io.Writer

	client   *fastly.Client
	current  *fastly.TokenResponse
	customer string // empty: the user's own tokens
	rules    rules
	demo     bool
	json     bool
	csv      bool
	revoke   bool
	yes      bool
}

func (a *audit) run(ctx context.Context, args []string) int {
	a.rules = rules{expiring: demo.Duration(30 * 24 * time.Hour), unused: demo.Duration(90 * 24 * time.Hour)}
	fs := usage.Flags()
	fs.BoolVar(&a.demo, "demo", false, "use the embedded server even if the environment has credentials")
	fs.StringVar(&a.customer, "customer", "", "audit every token of this customer `ID` (\"self\": your own); default: only your user's tokens")
	fs.Var(&a.rules.expiring, "expiring", "report tokens that expire within this `time`, such as 30d or 12h")
	fs.Var(&a.rules.unused, "unused", "report tokens that were not used for this `time`")
	fs.Var(&a.rules.ignored, "ignore", "comma-separated `findings` to leave out: "+strings.Join(kindNames(), ", "))
	fs.BoolVar(&a.json, "json", false, "print JSON")
	fs.BoolVar(&a.csv, "csv", false, "print CSV")
	fs.BoolVar(&a.revoke, "revoke-unused", false, "revoke the tokens that are found unused, after asking")
	fs.BoolVar(&a.yes, "yes", false, "do not ask")
	if code, ok := usage.Parse(fs, args, a.stdout, a.stderr); !ok {
		return code
	}
	if err := a.checkFlags(); err != nil {
		return usage.Mistake(a.stderr, err)
	}

	client, server, err := a.connect(a.demo, a.stderr)
	if err != nil {
		return a.fail(ctx, err)
	}
	if server != nil {
		defer server.Close()
	}
	a.client = client
	found, err := a.examine(ctx)
	if err != nil {
		return a.fail(ctx, err)
	}

	said := a.stderr // what is not the result
	switch {
	case a.json:
		err = writeJSON(a.stdout, found)
	case a.csv:
		err = writeCSV(a.stdout, found)
	default:
		said = a.stdout
		err = writeTable(a.stdout, found, &a.rules, a.customer != "")
	}
	if err != nil {
		return a.fail(ctx, err)
	}
	left := len(found.Tokens)
	if a.revoke {
		revoked, err := a.revokeUnused(ctx, found, said)
		if err != nil {
			return a.fail(ctx, err)
		}
		left -= revoked
	}
	if left > 0 {
		return exitFindings
	}
	return exitClean
}

func (a *audit) checkFlags() error {
	switch {
	case a.json && a.csv:
		return errors.New("-json and -csv exclude each other")
	case a.yes && !a.revoke:
		return errors.New("-yes is the answer to -revoke-unused, which is not there")
	case a.revoke && a.rules.ignored[unused]:
		return errors.New("-revoke-unused and -ignore unused exclude each other")
	case !a.credentials && !a.demo && (a.json || a.csv || a.revoke || a.customer != ""):
		// A job that has lost its key must not pass on made-up tokens.
		return demo.ErrNoCredentials
	case a.revoke && !a.yes && !a.isTerminal(a.stdin):
		return errors.New("-revoke-unused asks first, and there is no terminal to ask at: add -yes if you are sure")
	}
	return nil
}

func (a *audit) fail(ctx context.Context, err error) int {
	if code := demo.Fail(ctx, a.stderr, "audit", err); code == demo.ExitInterrupted {
		return code
	}
	return exitError
}

// examine lists the tokens and applies the rules.
func (a *audit) examine(ctx context.Context) (report, error) {
	var err error
	if a.current, err = a.client.Tokens.GetTokenCurrent(ctx); err != nil {
		return report{}, err
	}
	if a.customer == "self" {
		a.customer = a.current.CustomerID
	}
	tokens, err := a.list(ctx)
	if err != nil {
		return report{}, err
	}
	return a.rules.apply(tokens, a.current.ID, time.Now()), nil
}

func (a *audit) list(ctx context.Context) ([]fastly.TokenResponse, error) {
	if a.customer == "" {
		return a.client.Tokens.ListTokensUser(ctx)
	}
	tokens, err := a.client.Tokens.ListTokensCustomer(ctx, a.customer)
	if errors.Is(err, fastly.ErrForbidden) {
		err = fmt.Errorf("%w (-customer takes the token of a superuser of that customer)", err)
	}
	return tokens, err
}
