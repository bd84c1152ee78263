package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
)

// Exit codes beside those of the command, as env(1) and timeout(1) have them.
const (
	exitFailed        = 125
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignal        = 128 // and the signal's number
)

const (
	// cleanUpTimeout bounds the revoke, which must not be cut short by what
	// ended the command.
	cleanUpTimeout = 30 * time.Second
	// A create whose answer was lost may be carried out a little later than
	// the first look for its token.
	looks        = 3
	pauseOfLooks = time.Second
)

// world is what the program has to do with outside of it.
type world struct {
	connect     demo.Connector
	credentials bool // of the environment
	environ     []string
	stdin       io.Reader
	stdout      io.Writer
	stderr      io.Writer
	signals     <-chan os.Signal
	atTerminal  func() bool
	pause       time.Duration // between looks for a lost token
}

func main() {
	signals := make(chan os.Signal, 16)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		// What is ignored from the start (by nohup, say) stays ignored.
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
	// A log that nobody reads any more must not end the program before its
	// token is revoked. Unlike one that is ignored, this signal is not handed
	// down to the command.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(os.Args[1:], world{
		connect: demo.Client, credentials: demo.HasCredentials(), environ: os.Environ(),
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		signals: signals, atTerminal: atTerminal, pause: pauseOfLooks,
	}))
}

// atTerminal reports whether there is a terminal whose keys send signals.
func atTerminal() bool {
	tty, err := os.Open("/dev/tty")
	return err == nil && tty.Close() == nil
}

type settings struct {
	request  fastly.CreateTokenRequest
	ttl      time.Duration
	variable string
	demo     bool
	whoami   bool
	command  []string
}

func run(args []string, w world) int {
	log := demo.NewPrinter(w.stderr)
	set, code, ok := parse(args, w)
	if !ok {
		return code
	}
	if set.whoami {
		return whoami(w, log)
	}
	if len(set.command) == 0 {
		if w.credentials && !set.demo {
			return usage.Mistake(log, errors.New("there is no command to run"))
		}
		self, err := os.Executable()
		if err != nil {
			log.Printf("ci-token: no command, and the demo's own can't be found: %v\n", err)
			return exitFailed
		}
		set.command = []string{self, "-whoami"}
	}
	// A mistyped command should not cost a token.
	path, err := exec.LookPath(set.command[0])
	if err != nil {
		log.Printf("ci-token: %v\n", err)
		return exitCodeOf(err)
	}
	client, server, err := w.connect(set.demo, forgiving{w.stderr})
	if err != nil {
		log.Printf("ci-token: %v\n", err)
		return exitFailed
	}
	apiURL := ""
	if server != nil {
		defer server.Close()
		apiURL = server.URL
	}

	s := &session{client: client, log: log, pause: w.pause}
	token, code, ok := s.open(&set.request, w.signals)
	if !ok {
		return code
	}
	env, held := childEnv(w.environ, set.variable, token.AccessToken, apiURL)
	if len(held) > 0 {
		log.Printf("ci-token: not handed on, for they hold the parent token: %s\n", strings.Join(held, " "))
	}
	code = w.runCommand(path, set.command, env, log)
	if !s.revoke(token) && code == 0 {
		code = exitFailed
	}
	return code
}

// forgiving is a log whose lines are lost if they can't be written: a job does
// not fail for that.
type forgiving struct{ w io.Writer }

func (f forgiving) Write(b []byte) (int, error) {
	_, _ = f.w.Write(b)
	return len(b), nil
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func parse(args []string, w world) (set settings, code int, ok bool) {
	flags := usage.Flags()
	ttl := demo.Duration(15 * time.Minute)
	flags.Func("service", "`ID` of a service that the token is limited to; may be repeated (default: every service of the account)", func(id string) error {
		set.request.Services = append(set.request.Services, id)
		return nil
	})
	flags.Func("scope", "`scope` of the token ("+demo.KnownScopes+"), or several between spaces or commas; may be repeated (default purge_select)", func(text string) error {
		scopes, err := demo.ParseScopes(text)
		set.request.Scopes = append(set.request.Scopes, scopes...)
		return err
	})
	flags.Var(&ttl, "ttl", "the token expires by itself after this `time`, whatever happens")
	name := flags.String("name", "ci-token", "what the token's `name` begins with; something random follows")
	flags.StringVar(&set.variable, "env", "FASTLY_API_TOKEN", "environment `variable` that the command finds the token in")
	flags.BoolVar(&set.demo, "demo", false, "use the embedded server even if the environment has credentials")
	flags.BoolVar(&set.whoami, "whoami", false, "only print which token the environment holds (try: ci-token -- ci-token -whoami)")

	if code, ok := usage.Parse(flags, args, w.stdout, w.stderr); !ok {
		return set, code, false
	}
	set.command = flags.Args()
	var err error
	switch {
	case !w.credentials && !set.demo && !set.whoami && len(set.command) > 0:
		// A job that has lost its key must not go green.
		err = demo.ErrNoCredentials
	case time.Duration(ttl) < time.Second:
		err = errors.New("-ttl has to be a second at least: the token is to expire by itself")
	case !variableName.MatchString(set.variable):
		err = errors.New("-env is not the name of an environment variable")
	}
	if err != nil {
		return set, usage.Mistake(w.stderr, err), false
	}
	if len(set.request.Scopes) == 0 {
		set.request.Scopes = fastly.Scopes{fastly.ScopePurgeSelect}
	}
	set.ttl = time.Duration(ttl)
	set.request.ExpiresAt = time.Now().Add(set.ttl)
	// Should the answer to the create be lost, the name tells the token from
	// all others.
	set.request.Name = *name + " " + rand.Text()[:16]
	return set, 0, true
}

var usage = demo.Usage{
	Name:     "ci-token",
	Purpose:  "Runs a command with a Fastly API token that lives no longer than the command.",
	Synopsis: []string{"[flags] -- command [argument…]"},
	Codes: []string{
		"n      the command's own; otherwise:",
		"125    ci-token itself failed",
		"126    the command can't be executed",
		"127    there is no such command",
		"128+n  the command died of signal n",
	},
	Words: true,
	Wrong: exitFailed,
}

// exitCodeOf is for an error of a command that was not started.
func exitCodeOf(err error) int {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) || errors.Is(err, exec.ErrDot) {
		return exitNotFound
	}
	return exitNotExecutable
}

// whoami shows what the environment's token is and may do.
func whoami(w world, log *demo.Printer) int {
	client, err := fastly.NewClientFromEnv()
	if err != nil {
		log.Printf("ci-token: %v\n", err)
		return exitFailed
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTimeout)
	defer cancel()
	token, err := client.Tokens.GetTokenCurrent(ctx)
	if err != nil {
		log.Printf("ci-token: %v\n", err)
		return exitFailed
	}
	services := "every service"
	if len(token.Services) > 0 {
		services = demo.Text(strings.Join(token.Services, " "))
	}
	_, err = fmt.Fprintf(w.stdout, "I am %s: %s on %s, expires %s.\n",
		token.ID, demo.Text(token.Scopes.String()), services, demo.Until(token.ExpiresAt, time.Now()))
	if err != nil {
		return exitFailed
	}
	return 0
}
