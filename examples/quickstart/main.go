package main

import (
	"context"
	"io"

	"github.com/fastly-tokens/fastly/examples/internal/demo"
)

var usage = demo.Usage{
	Name:     "quickstart",
	Purpose:  "Shows every operation of the Fastly Tokens API, one after the other.",
	Synopsis: []string{"[flags]"},
	Codes: []string{
		"0    done; what the token may not do is reported, and no failure",
		"1    an operation failed",
		"2    wrong flags",
		"130  interrupted",
	},
}

func main() { demo.Main(run) }

func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	return quickstart(ctx, demo.Client, args, stdout, stderr)
}

func quickstart(ctx context.Context, connect demo.Connector, args []string, stdout, stderr io.Writer) int {
	fs := usage.Flags()
	useDemo := fs.Bool("demo", false, "use the embedded server even if the environment has credentials")
	write := fs.Bool("write", false, "with a real API: make four tokens that live ten minutes, and revoke them")
	if code, ok := usage.Parse(fs, args, stdout, stderr); !ok {
		return code
	}
	// Which API it is stands in the heading.
	client, server, err := connect(*useDemo, io.Discard)
	if err != nil {
		return demo.Fail(ctx, stderr, fs.Name(), err)
	}
	if server != nil {
		defer server.Close()
	}
	t := newTour(client, server, connect, *write, stdout)
	if err := t.walk(ctx); err != nil {
		return demo.Fail(ctx, stderr, fs.Name(), err)
	}
	return demo.ExitOK
}
