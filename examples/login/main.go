package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
)

var usage = demo.Usage{
	Name:     "login",
	Purpose:  "Creates a Fastly API token from a user name and a password.",
	Synopsis: []string{"[flags] -out FILE", "[flags] -print"},
	Codes: []string{
		"0    the token was created and kept",
		"1    no token was created",
		"2    wrong flags, or a file that can't be written",
		"3    a token was or may have been created, and needs looking into",
		"130  interrupted",
	},
}

// Exit codes, beside those of package demo.
const (
	exitCreated = demo.ExitOK
	// exitLookInto: a token was or may have been created, and something is
	// wrong with it.
	exitLookInto = 3
)

// maxCodes is how many one-time passwords are tried: the API locks accounts.
const maxCodes = 3

func main() { demo.Main(run) }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	l := login{base: demo.BaseURL(), stdout: stdout, stderr: demo.NewPrinter(stderr), ask: newConsole(stdin, stderr)}
	return l.run(ctx, args)
}

// login is the program and its surroundings.
type login struct {
	base    string // URL of the API
	options []fastly.Option
	ask     asker
	stdout  io.Writer
	stderr  *demo.Printer

	username string
	out      string
	force    bool
	print    bool
}

// asker is who knows the answers.
type asker interface {
	username(context.Context) (string, error)
	password(context.Context) (string, error)
	code(context.Context) (string, error)
}

func (l *login) run(ctx context.Context, args []string) int {
	fs := usage.Flags()
	useDemo := fs.Bool("demo", false, "use an embedded server with a made-up user")
	fs.StringVar(&l.username, "username", "", "the user `name`; default: ask")
	fs.StringVar(&l.out, "out", "", "write the access token to this new `file`, readable by you alone")
	fs.BoolVar(&l.force, "force", false, "replace the file of -out")
	fs.BoolVar(&l.print, "print", false, "print the access token to standard output")
	want := requestFlags(fs)
	if code, ok := usage.Parse(fs, args, l.stdout, l.stderr); !ok {
		return code
	}
	if err := l.checkFlags(); err != nil {
		return usage.Mistake(l.stderr, err)
	}
	// Before anything is created, so that it is sure to have a place.
	keep := keeper(&printed{l.stdout})
	if !l.print {
		file, err := newTokenFile(l.out, l.force)
		if err != nil {
			return usage.Mistake(l.stderr, err)
		}
		defer file.discard()
		keep = file
	}
	if *useDemo {
		srv := demo.Start()
		defer srv.Close()
		l.base = srv.URL
		l.demo()
	}
	return l.create(ctx, want(time.Now()), keep)
}

// requestFlags defines the flags that say which token to create.
func requestFlags(fs *flag.FlagSet) func(now time.Time) *fastly.CreateTokenRequest {
	ttl := demo.Duration(90 * 24 * time.Hour)
	var services []string
	name := fs.String("name", "", "the `name` of the token; default: one with the time in it")
	scopes := fastly.Scopes{fastly.ScopeGlobalRead}
	fs.Func("scope", "its `scopes`, between commas or spaces: "+demo.KnownScopes+" (default "+scopes.String()+")", func(text string) (err error) {
		scopes, err = demo.ParseScopes(text)
		return err
	})
	fs.Var(&ttl, "ttl", "how long the token works, a `time` such as 12h or 90d; 0d: forever")
	fs.Func("service", "limit it to the service `ID`; can be repeated", func(id string) error {
		services = append(services, id)
		return nil
	})
	return func(now time.Time) *fastly.CreateTokenRequest {
		req := &fastly.CreateTokenRequest{
			Name:     cmp.Or(*name, "login "+now.UTC().Format(time.RFC3339)),
			Scopes:   scopes,
			Services: services,
		}
		if ttl > 0 {
			req.ExpiresAt = now.Add(time.Duration(ttl))
		}
		return req
	}
}

func (l *login) checkFlags() error {
	switch {
	case l.out == "" && !l.print:
		return errors.New("say where the access token is to go, for the API shows it only once: -out FILE, or -print")
	case l.out != "" && l.print:
		return errors.New("-out and -print exclude each other")
	case l.force && l.print:
		return errors.New("-force is for -out")
	}
	return nil
}

// demo says how to log in to the embedded server, or does it by itself if there
// is nobody to type.
func (l *login) demo() {
	ada := demo.Ada()
	l.stderr.Printf("Using an embedded server; nothing leaves this machine. Its user is made up, and no secret:\n")
	l.stderr.Printf("  user name  %s\n  password   %s\n  code       %s\n", ada.Login, ada.Password, ada.OTP)
	if c, ok := l.ask.(*console); ok && !c.isTerminal() {
		l.stderr.Printf("There is no terminal to type that at, so it is used as it is.\n")
		l.ask = scripted(ada)
	}
}

// create logs in, creates the token and hands it to keep.
func (l *login) create(ctx context.Context, req *fastly.CreateTokenRequest, keep keeper) int {
	client, err := l.client(ctx)
	if err != nil {
		return l.fail(ctx, err)
	}
	created, err := l.createWithCode(ctx, client, req)
	if created == nil || created.AccessToken == "" {
		return l.notCreated(ctx, req, created, err)
	}
	// There is a token. Whatever else went wrong, it is kept.
	place, keepErr := keep.keep(created.AccessToken)
	l.stderr.Printf("Created token %s: %s\n", demo.Text(cmp.Or(created.ID, "with an ID that could not be read")), describe(created, req))
	if place == "" {
		l.report(fmt.Errorf("the access token could not be kept: %w", keepErr))
		l.giveBack(ctx, created)
		return exitLookInto
	}
	l.stderr.Printf("Its access token is %s.\n", place)
	code := exitCreated
	for _, err := range []error{err, keepErr} {
		if err != nil {
			l.report(err)
			code = exitLookInto
		}
	}
	return code
}

// client asks for user name and password.
func (l *login) client(ctx context.Context) (*fastly.Client, error) {
	username := l.username
	if username == "" {
		var err error
		if username, err = l.ask.username(ctx); err != nil {
			return nil, err
		}
	}
	password, err := l.ask.password(ctx)
	if err != nil {
		return nil, err
	}
	return fastly.NewClient(append([]fastly.Option{fastly.WithBasicAuth(username, password), fastly.WithBaseURL(l.base)}, l.options...)...)
}

// createWithCode asks for a one-time password if the API wants one, and again
// if it was wrong.
func (l *login) createWithCode(ctx context.Context, client *fastly.Client, req *fastly.CreateTokenRequest) (*fastly.TokenCreatedResponse, error) {
	created, err := client.Tokens.CreateToken(ctx, req)
	for range maxCodes {
		if !errors.Is(err, fastly.ErrOTPRequired) {
			return created, err
		}
		if req.OTP != "" {
			l.stderr.Printf("That code was not accepted.\n")
		}
		code, askErr := l.ask.code(ctx)
		if askErr != nil {
			return nil, askErr
		}
		req.OTP = fastly.Secret(code)
		created, err = client.Tokens.CreateToken(ctx, req)
	}
	return created, err
}

// notCreated reports that there is no token, or none that anybody holds.
func (l *login) notCreated(ctx context.Context, req *fastly.CreateTokenRequest, created *fastly.TokenCreatedResponse, err error) int {
	if created == nil && !errors.Is(err, fastly.ErrOutcomeUnknown) {
		return l.fail(ctx, demo.ExplainScope(err, req.Scopes))
	}
	l.report(err)
	l.stderr.Printf("Do not just try again: a token named %q may exist now, and nobody holds it. Look for\n", req.Name)
	l.stderr.Printf("it in the Fastly web interface, or with a token you have: go run ./examples/audit\n")
	if created != nil && created.ID != "" {
		l.stderr.Printf("Its ID is %s.\n", demo.Text(created.ID))
	}
	l.stderr.Printf("If it is there, revoke it, and then run this again.\n")
	return exitLookInto
}

// giveBack revokes a token that could not be kept, with its own credentials.
func (l *login) giveBack(ctx context.Context, created *fastly.TokenCreatedResponse) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	client, err := fastly.NewClient(append([]fastly.Option{fastly.WithAPIKey(created.AccessToken.Reveal()), fastly.WithBaseURL(l.base)}, l.options...)...)
	if err == nil {
		err = client.Tokens.RevokeTokenCurrent(ctx)
	}
	if err != nil {
		l.stderr.Printf("Nobody holds the token, and it can't be revoked from here (%v).\nRevoke it in the Fastly web interface, or with another token.\n", err)
		return
	}
	l.stderr.Printf("The token was revoked again.\n")
}

func (l *login) report(err error) { l.stderr.Printf("login: %v\n", err) }

func (l *login) fail(ctx context.Context, err error) int {
	return demo.Fail(ctx, l.stderr, "login", err)
}

// describe says what a token may do. Of a broken answer that may be what was
// asked for.
func describe(created *fastly.TokenCreatedResponse, req *fastly.CreateTokenRequest) string {
	scopes, expires := created.Scopes, created.ExpiresAt
	if created.CreatedAt.IsZero() {
		scopes, expires = req.Scopes, req.ExpiresAt
	}
	services := "every service"
	if n := len(req.Services); n > 0 {
		services = fmt.Sprintf("services: %d", n)
	}
	text := fmt.Sprintf("%q, %s, %s, ", req.Name, demo.Text(scopes.String()), services)
	if expires.IsZero() {
		return text + "never expires"
	}
	return text + "expires " + demo.Until(expires, time.Now())
}
