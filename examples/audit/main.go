package main

import (
	"context"
	"errors"
	"flag"
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

func main() { demo.Main(run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := audit{connect: demo.Client, isTerminal: demo.IsTerminal, stdin: stdin, stdout: stdout, stderr: stderr}
	return a.run(ctx, args)
}

// audit is the program and its surroundings.
type audit struct {
	connect    demo.Connector
	isTerminal func(stream any) bool
	stdin      io.Reader
	stdout     io.Writer
	stderr     io.Writer

	client   *fastly.Client
	current  *fastly.TokenResponse
	customer string // empty: the user's own tokens
	rules    rules
	yes      bool
}

func (a *audit) run(ctx context.Context, args []string) int {
	a.rules = rules{expiring: demo.Duration(30 * 24 * time.Hour), unused: demo.Duration(90 * 24 * time.Hour)}
	fs := flag.NewFlagSet("audit", flag.ContinueOnError)
	fs.SetOutput(a.stderr)
	useDemo := fs.Bool("demo", false, "use the embedded server even if the environment has credentials")
	fs.StringVar(&a.customer, "customer", "", "audit all tokens of the customer `ID`, or of your own with \"self\"; default: the user's")
	fs.Var(&a.rules.expiring, "expiring", "report tokens that expire within this `time`, such as 30d or 12h")
	fs.Var(&a.rules.unused, "unused", "report tokens that were not used for this `time`")
	fs.Var(&a.rules.ignored, "ignore", "comma-separated `findings` to leave out: "+strings.Join(kindNames(), ", "))
	asJSON := fs.Bool("json", false, "print JSON")
	asCSV := fs.Bool("csv", false, "print CSV")
	revoke := fs.Bool("revoke-unused", false, "revoke the tokens that are found unused, after asking")
	fs.BoolVar(&a.yes, "yes", false, "do not ask")
	if code, ok := demo.Parse(fs, args); !ok {
		return code
	}
	if err := a.checkFlags(*asJSON && *asCSV, *revoke); err != nil {
		demo.Fail(ctx, a.stderr, fs.Name(), err)
		return exitError
	}

	client, server, err := a.connect(*useDemo, a.stderr)
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
	case *asJSON:
		err = writeJSON(a.stdout, found)
	case *asCSV:
		err = writeCSV(a.stdout, found)
	default:
		said = a.stdout
		err = writeTable(a.stdout, found, &a.rules, a.customer != "")
	}
	if err != nil {
		return a.fail(ctx, err)
	}
	left := len(found.Tokens)
	if *revoke {
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

func (a *audit) checkFlags(twoFormats, revoke bool) error {
	switch {
	case twoFormats:
		return errors.New("-json and -csv exclude each other")
	case a.yes && !revoke:
		return errors.New("-yes is the answer to -revoke-unused, which is not there")
	case revoke && a.rules.ignored[unused]:
		return errors.New("-revoke-unused and -ignore unused exclude each other")
	case revoke && !a.yes && !a.isTerminal(a.stdin):
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
