package demo

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/rotate"
)

// Account is the account that a program uses: the user's, or a made-up one.
type Account struct {
	// Client uses the API token of the user.
	Client *fastly.Client
	// Login returns the user's name, password and, if there is one, the source
	// of the one-time password. Creating tokens takes a login.
	Login func(context.Context) (rotate.Login, error)
	// URL is the base URL of the API.
	URL string
	// Options are additional options of clients that use other API tokens.
	Options []fastly.Option
	// Server is the server of the made-up account, nil for the user's.
	Server *fastlytest.Server
}

// Open returns the account of the environment's API token, or with demo a made-up
// one in an embedded server, which lasts until Close. Without demo and a key, Open
// fails: a program whose key is missing must not use made-up tokens instead.
func Open(demo bool, stdin io.Reader, stderr io.Writer) (*Account, error) {
	if !demo && os.Getenv("FASTLY_API_TOKEN") == "" && os.Getenv("FASTLY_API_KEY") == "" {
		return nil, Usagef("there are no credentials: set FASTLY_API_TOKEN, or give -demo for made-up tokens")
	}
	a, err := OpenLogin(demo, stdin, stderr)
	if err == nil && !demo {
		a.Client, err = fastly.NewClientFromEnv()
	}
	return a, err
}

// OpenLogin is Open without an API token: Client can only create.
func OpenLogin(demo bool, stdin io.Reader, stderr io.Writer) (a *Account, err error) {
	if demo {
		srv := Start()
		user := srv.User()
		_, err := fmt.Fprintln(stderr, "Using an embedded server with made-up tokens (-demo); nothing leaves this machine.")
		return &Account{
			Client: srv.Client(),
			Login: func(context.Context) (rotate.Login, error) {
				return rotate.Login{Username: user.Login, Password: fastly.Secret(user.Password)}, nil
			},
			URL:    srv.URL,
			Server: srv,
		}, err
	}
	a = &Account{
		Login: func(context.Context) (rotate.Login, error) { return ReadLogin(stdin) },
		URL:   cmp.Or(os.Getenv("FASTLY_API_URL"), fastly.DefaultBaseURL),
	}
	a.Client, err = fastly.NewClient(fastly.WithoutAuthentication(), fastly.WithBaseURL(a.URL))
	return a, err
}

// Connect returns a client that uses another API token.
func (a *Account) Connect(key fastly.Secret) (*fastly.Client, error) {
	return fastly.NewClient(append([]fastly.Option{fastly.WithAPIKey(key.Reveal()), fastly.WithBaseURL(a.URL)}, a.Options...)...)
}

// Close closes the made-up account.
func (a *Account) Close() {
	if a.Server != nil {
		a.Server.Close()
	}
}

// ReadLogin returns the login of the environment: FASTLY_USERNAME, the file of
// FASTLY_PASSWORD_FILE or else a line of standard input, and the file of
// FASTLY_OTP_FILE. No password is read from a terminal, which would show it.
func ReadLogin(stdin io.Reader) (login rotate.Login, err error) {
	if login.Username = os.Getenv("FASTLY_USERNAME"); login.Username == "" {
		return login, Usagef("the API creates tokens by user name and password: set FASTLY_USERNAME")
	}
	switch path := os.Getenv("FASTLY_PASSWORD_FILE"); {
	case path != "":
		login.Password, err = readFile(path)
	case IsTerminal(stdin):
		err = errors.New("a terminal would show it (fastly-token has a prompt)")
	default:
		login.Password, err = readLine(stdin)
	}
	if err != nil {
		return login, Usagef("no password: %w: set FASTLY_PASSWORD_FILE, or use a pipe", err)
	}
	if path := os.Getenv("FASTLY_OTP_FILE"); path != "" {
		login.OTP = func(context.Context) (fastly.Secret, error) { return readFile(path) }
	}
	return login, nil
}

func readFile(path string) (fastly.Secret, error) {
	f, err := os.Open(path) // #nosec G304 G703 -- the user names it
	if err != nil {
		return "", err
	}
	secret, err := readLine(f)
	return secret, errors.Join(err, f.Close())
}

func readLine(r io.Reader) (fastly.Secret, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4<<10)).ReadString('\n')
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", cmp.Or(err, errors.New("the first line is empty"))
	}
	return fastly.Secret(line), nil
}

// IsTerminal reports whether stream is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
