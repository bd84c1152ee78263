package main

import (
	"context"
	"flag"
	"io"
	"os"

	"github.com/fastly-tokens/fastly/examples/internal/demo"
)

func main() { demo.Main("quickstart", run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	useDemo := fs.Bool("demo", false, "use the embedded server even if the environment has credentials")
	write := fs.Bool("write", false, "with a real API: log in, create four tokens that expire after ten minutes, and revoke them")
	if err := demo.Parse(fs, args, stderr, false); err != nil {
		return err
	}
	// Unlike the other examples, this one needs no -demo: it does no work for the user.
	embedded := *useDemo || os.Getenv("FASTLY_API_TOKEN") == "" && os.Getenv("FASTLY_API_KEY") == ""
	account, err := demo.Open(embedded, stdin, io.Discard) // the heading says which it is
	if err != nil {
		return err
	}
	defer account.Close()
	return quickstart(ctx, account, *write, newConsole(stdin, stderr), stdout)
}

// quickstart walks through the operations with the account. It changes the user's
// account only if write is set.
func quickstart(ctx context.Context, account *demo.Account, write bool, c *console, stdout io.Writer) error {
	t := newTour(account, write, c, stdout)
	if err := t.logIn(ctx); err != nil {
		return err
	}
	return t.walk(ctx)
}
