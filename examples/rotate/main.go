package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
)

const (
	exitFailed     = demo.ExitFailed // all is as it was before
	exitUsage      = demo.ExitUsage
	exitUnfinished = 3 // run again
)

// world is what the program has to do with outside of it.
type world struct {
	connect        demo.Connector
	credentials    bool          // of the environment
	key            fastly.Secret // that connect uses
	environ        []string
	cacheDir       func() (string, error)
	stdout, stderr io.Writer
	// pause is how long to wait before another look at the API: at a new token
	// that does not work yet, or for one whose create had no answer.
	pause time.Duration
	// at is told how far the program has come. Tests crash it there.
	at func(point string)
}

func main() { demo.Main(run) }

func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	key := os.Getenv("FASTLY_API_TOKEN")
	if key == "" {
		key = os.Getenv("FASTLY_API_KEY")
	}
	return rotate(ctx, args, world{
		connect: demo.Client, credentials: demo.HasCredentials(), key: fastly.Secret(key),
		environ: os.Environ(), cacheDir: os.UserCacheDir,
		stdout: stdout, stderr: stderr,
		pause: time.Second, at: func(string) {},
	})
}

// settings are what the command line says.
type settings struct {
	id       string
	ttl      time.Duration // 0: that of the old token
	out      string        // absolute; empty: the command
	state    string
	leftover string
	login    fastly.CreateTokenRequest // user name, password, one-time password
	demo     bool
	command  []string
}

func rotate(ctx context.Context, args []string, w world) int {
	errs := demo.NewPrinter(w.stderr)
	set, code, ok := parse(args, w)
	if !ok {
		return code
	}
	fail := func(err error) int {
		errs.Printf("rotate: %v\n", err)
		return exitFailed
	}
	if set.demo || !w.credentials {
		dir, err := os.MkdirTemp("", "rotate-demo-*")
		if err != nil {
			return fail(err)
		}
		defer func() {
			if err := os.RemoveAll(dir); err != nil {
				errs.Printf("rotate: %v\n", err)
			}
		}()
		set.inDemo(dir)
	}
	if err := set.stateFile(w.cacheDir); err != nil {
		return fail(err)
	}
	client, server, err := w.connect(set.demo, w.stderr)
	if err != nil {
		return fail(err)
	}
	connect := func(key fastly.Secret) (*fastly.Client, error) {
		client, _, err := w.connect(false, io.Discard, fastly.WithAPIKey(key.Reveal()))
		return client, err
	}
	if server != nil {
		defer server.Close()
		w.key = server.Key()
		connect = func(key fastly.Secret) (*fastly.Client, error) {
			return fastly.NewClient(fastly.WithAPIKey(key.Reveal()), fastly.WithBaseURL(server.URL))
		}
	}
	j, err := openJournal(set.state)
	if err != nil {
		return fail(err)
	}
	r := &rotation{world: w, settings: set, journal: j, client: client, connectWith: connect, lines: demo.NewPrinter(w.stdout)}
	err = r.run(ctx)
	left := r.left()
	if closeErr := j.close(); err == nil {
		err = closeErr
	}
	if err == nil {
		return demo.ExitOK
	}
	errs.Printf("rotate: %v\n", err)
	if left == "" {
		errs.Printf("rotate: nothing has changed\n")
		return exitFailed
	}
	errs.Printf("rotate: unfinished: %s\n", left)
	if server != nil {
		errs.Printf("rotate: this was the demo: its tokens are gone with it, and there is nothing to finish\n")
		return exitUnfinished
	}
	if len(r.Asked) == 0 {
		args = withoutLeftover(args, len(args)-len(set.command))
	}
	errs.Printf("rotate: to finish, run again: %s\n", commandLine(args))
	return exitUnfinished
}

// inDemo keeps what the demo writes out of the way of real rotations.
func (s *settings) inDemo(dir string) {
	if s.out == "" && len(s.command) == 0 {
		s.out = filepath.Join(dir, "token")
	}
	s.state = filepath.Join(dir, "state")
}

// stateFile sets the path of the journal unless the user has.
func (s *settings) stateFile(cacheDir func() (string, error)) error {
	switch {
	case s.state != "":
		return nil
	case s.out != "":
		s.state = filepath.Join(filepath.Dir(s.out), "."+filepath.Base(s.out)+".rotate")
		return nil
	}
	dir, err := cacheDir()
	if err != nil {
		return fmt.Errorf("there is no place for a state file: use -state: %w", err)
	}
	name := s.id
	if name == "" {
		name = "current"
	}
	s.state = filepath.Join(dir, "fastly-rotate", name)
	return os.MkdirAll(filepath.Dir(s.state), 0o700) // #nosec G703 -- the user's own directory
}

var usage = demo.Usage{
	Name:     "rotate",
	Purpose:  "Replaces a Fastly API token by a new one with the same name, rights and lifetime.",
	Synopsis: []string{"[flags] -out FILE", "[flags] -- command [argument…]"},
	Codes: []string{
		"0  done",
		"1  failed, and nothing has changed",
		"2  wrong usage",
		"3  unfinished: run it again, the same way, to finish",
	},
	Words: true,
}

var idForm = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)

func parse(args []string, w world) (set settings, code int, ok bool) {
	flags := usage.Flags()
	var ttl demo.Duration
	flags.StringVar(&set.id, "id", "", "`ID` of the token to rotate (default: the token of the environment)")
	flags.Var(&ttl, "ttl", "`lifetime` of the new token, such as 90d (default: that of the old one)")
	flags.StringVar(&set.out, "out", "", "`file` that gets the token, mode 0600, replaced as a whole")
	flags.StringVar(&set.state, "state", "", "`file` that says how far a rotation has come (default: beside the -out file, or in the user's cache directory)")
	flags.StringVar(&set.leftover, "leftover", "", "after a create without an answer: the `ID` of the token it made, to be revoked, or \"none\"")
	flags.StringVar(&set.login.Username, "username", "", "`name` of the token's user, if the account wants the password again")
	passwordFile := flags.String("password-file", "", "`file` with that user's password")
	otpFile := flags.String("otp-file", "", "`file` with a one-time password (/dev/stdin to type it)")
	flags.BoolVar(&set.demo, "demo", false, "use the embedded server even if the environment has credentials")

	if code, ok := usage.Parse(flags, args, w.stdout, w.stderr); !ok {
		return set, code, false
	}
	set.ttl, set.command = time.Duration(ttl), slices.Clone(flags.Args())
	err := set.check(w.credentials)
	if err == nil {
		err = set.readLogin(*passwordFile, *otpFile)
	}
	if err != nil {
		return set, usage.Mistake(w.stderr, err), false
	}
	return set, 0, true
}

// check finds what is wrong before anything has been done.
func (s *settings) check(credentials bool) (err error) {
	switch {
	case !credentials && !s.demo && (s.out != "" || len(s.command) > 0):
		// A job that has lost its key must not put a made-up token in the place
		// of a real one.
		return demo.ErrNoCredentials
	case s.out != "" && len(s.command) > 0:
		return errors.New("-out and a command are two ways to hand the token over: use one")
	case s.out == "" && len(s.command) == 0 && credentials && !s.demo:
		return errors.New("where should the token go? Use -out FILE, or a command")
	case s.id != "" && !idForm.MatchString(s.id):
		return errors.New("-id is not the ID of a token")
	case s.ttl < 0 || s.ttl > 0 && s.ttl < time.Second:
		return errors.New("-ttl is too short")
	}
	if len(s.command) > 0 {
		if s.command[0], err = exec.LookPath(s.command[0]); err != nil {
			return err
		}
	}
	if s.out != "" {
		s.out, err = target(s.out)
	}
	return err
}

// target is the absolute path of the file that a token is written to. Behind a
// symbolic link the file is replaced, not the link.
func target(path string) (abs string, err error) {
	if abs, err = filepath.Abs(path); err != nil {
		return "", err
	}
	if _, err := os.Lstat(abs); errors.Is(err, os.ErrNotExist) {
		return abs, nil
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return "", err
	}
	info, err := os.Stat(abs)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	return abs, err
}

func (s *settings) readLogin(passwordFile, otpFile string) (err error) {
	if (s.login.Username == "") != (passwordFile == "") {
		return errors.New("-username and -password-file go together")
	}
	if passwordFile != "" {
		if s.login.Password, err = readSecret(passwordFile); err != nil {
			return err
		}
	}
	if otpFile != "" {
		s.login.OTP, err = readSecret(otpFile)
	}
	return err
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

// withoutLeftover is args without -leftover, which is refused once there is no
// use for it. The first so many are flags, and the command's stay as they are.
func withoutLeftover(args []string, flags int) (kept []string) {
	for i := 0; i < flags; i++ {
		name, _, whole := strings.Cut(args[i], "=")
		switch {
		case name != "-leftover" && name != "--leftover":
			kept = append(kept, args[i])
		case !whole:
			i++ // its value
		}
	}
	return append(kept, args[flags:]...)
}

// commandLine is how to run the program again, for a shell.
func commandLine(args []string) string {
	words := []string{"rotate"}
	for _, arg := range args {
		if !plainWord.MatchString(arg) {
			arg = "'" + strings.ReplaceAll(demo.Text(arg), "'", `'\''`) + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}
