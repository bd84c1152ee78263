// Package demo is what the example programs share: an embedded Tokens API with
// the tokens of a made-up company, the choice between it and the real API, and
// the few helpers of a well-behaved command: signals, exit codes, durations in
// days, tables, and text from the network made safe to print.
//
// A program is one function that its tests call, and a main that hands it to
// [Main]:
//
//	func main() { demo.Main(run) }
//
//	func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
//		return list(ctx, demo.Client, args, stdout, stderr)
//	}
//
//	func list(ctx context.Context, connect demo.Connector, …) int {
//		client, server, err := connect(*useDemo, stderr)
//		if err != nil {
//			return demo.Fail(ctx, stderr, "list", err)
//		}
//		if server != nil {
//			defer server.Close()
//		}
//		…
//	}
//
// Tests give list the [Connector] of a server of their own, demo.To(server), so
// that they need no environment and run in parallel.
package demo
