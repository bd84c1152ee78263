// Command conformance starts the in-memory server and runs a program against it,
// such as a test of another client: see .ci/conformance.
//
//	conformance COMMAND [ARGUMENT...]
//
// The program finds the server and its user in the environment: TEST_URL,
// TEST_KEY, TEST_LOGIN, TEST_PASSWORD, TEST_USER and TEST_CUSTOMER. Its exit code
// is the command's.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/fastly-tokens/fastly/fastlytest"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(command []string) int {
	if len(command) == 0 {
		fmt.Fprintln(os.Stderr, "usage: conformance COMMAND [ARGUMENT...]")
		return 2
	}
	srv := fastlytest.NewServer()
	defer srv.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(),
		"FASTLY_API_TOKEN=", // clients use it by default, and it may be real
		"TEST_URL="+srv.URL,
		"TEST_KEY="+srv.Key().Reveal(),
		"TEST_LOGIN="+srv.User().Login,
		"TEST_PASSWORD="+srv.User().Password,
		"TEST_USER="+srv.User().ID,
		"TEST_CUSTOMER="+srv.User().CustomerID,
	)
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		return 1
	}
	return 0
}
