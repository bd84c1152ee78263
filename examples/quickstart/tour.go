package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
	"github.com/fastly-tokens/fastly/rotate"
)

// lifetime of the tokens made here: if everything else fails, they expire soon.
const lifetime = 10 * time.Minute

// maxCodes is how many one-time passwords to try for a token: the API locks
// accounts.
const maxCodes = 3

// tour is one walk through the operations.
type tour struct {
	account *demo.Account
	client  *fastly.Client // of the account
	console *console
	login   rotate.Login
	write   bool
	out     *printer
	style   style
	start   time.Time

	current *fastly.TokenResponse
	table   string                 // the operation that filled tokens
	tokens  []fastly.TokenResponse // of the customer, or else of the user
	step    int
	done    int

	made    []*fastly.TokenCreatedResponse // all of them, in order
	revoked map[string]bool                // by ID
}

func newTour(account *demo.Account, write bool, c *console, stdout io.Writer) *tour {
	return &tour{
		account: account,
		client:  account.Client,
		console: c,
		write:   write || account.Server != nil,
		out:     &printer{w: stdout},
		style:   styleFor(stdout),
		start:   time.Now(),
		revoked: map[string]bool{},
	}
}

// logIn gets the login that creates the tokens, before anything is done.
func (t *tour) logIn(ctx context.Context) (err error) {
	switch {
	case t.account.Server != nil:
		t.login, err = t.account.Login(ctx)
	case t.write:
		t.login, err = t.console.login(ctx)
	}
	return err
}

// walk goes through the operations. However it ends, it revokes what it made.
func (t *tour) walk(ctx context.Context) (err error) {
	t.heading()
	defer func() { err = errors.Join(err, t.cleanUp(ctx)) }()
	if err := t.reads(ctx); err != nil {
		return err
	}
	if t.write {
		if err := t.writes(ctx); err != nil {
			return err
		}
	} else {
		t.notDone()
	}
	if err := t.printTokens(); err != nil {
		return err
	}
	t.summary()
	return t.out.err
}

func (t *tour) heading() {
	t.out.Printf("%s\n\n", t.style.Bold("Fastly Tokens API: the eight operations"))
	switch {
	case t.account.Server != nil:
		t.out.Printf("This is an %s in this process, %s, with made-up tokens.\n", t.style.Bold("embedded server"), t.account.URL)
		t.out.Printf("Nothing leaves this machine. Set FASTLY_API_TOKEN to use the real API.\n\n")
	case t.write:
		t.out.Printf("This is the API at %s. -write creates four tokens, which expire after\n", clean(t.account.URL))
		t.out.Printf("%d minutes, and revokes them. Your own tokens are not touched.\n\n", int(lifetime.Minutes()))
	default:
		t.out.Printf("This is the API at %s. Only read operations run; -write also creates\n", clean(t.account.URL))
		t.out.Printf("tokens, which expire after %d minutes, and revokes them.\n\n", int(lifetime.Minutes()))
	}
}

// operation announces the next one.
func (t *tour) operation(name, verb, path, what string) {
	t.step++
	t.out.Printf("%d  %s  %-6s %s\n   %s\n", t.step, t.style.Bold(fmt.Sprintf("%-18s", name)), verb, path, t.style.Dim(what))
}

// result shows the result of an operation.
func (t *tour) result(format string, args ...any) {
	t.done++
	t.out.Printf("   %s %s\n\n", t.style.Green("→"), fmt.Sprintf(format, args...))
}

// passed reports whether err is a 403, and shows why. That is no reason to stop: what
// a token may do depends on its scope and user.
func (t *tour) passed(err error, why string) bool {
	if !errors.Is(err, fastly.ErrForbidden) {
		return false
	}
	t.out.Printf("   %s not allowed (403): %s\n\n", t.style.Yellow("→"), why)
	return true
}

func (t *tour) reads(ctx context.Context) (err error) {
	t.operation("GetTokenCurrent", "GET", "/tokens/self", "Which token is this client using? Any token may ask.")
	if t.current, err = t.client.Tokens.GetTokenCurrent(ctx); err != nil {
		return err
	}
	t.result("%s", describe(t.current))

	t.operation("ListTokensUser", "GET", "/tokens", "The active tokens of the client's user, in one response.")
	if t.tokens, err = t.client.Tokens.ListTokensUser(ctx); err == nil {
		t.table = "ListTokensUser"
		t.result("%s", plural(len(t.tokens), "token"))
	} else if !t.passed(err, "listing takes the scope global or global:read") {
		return err
	}

	t.operation("ListTokensCustomer", "GET", "/customer/"+clean(t.current.CustomerID)+"/tokens", "Those of everyone in the account; the user must be a superuser.")
	if tokens, err := t.client.Tokens.ListTokensCustomer(ctx, t.current.CustomerID); err == nil {
		t.table, t.tokens = "ListTokensCustomer", tokens
		users := map[string]bool{}
		for i := range tokens {
			users[tokens[i].UserID] = true
		}
		t.result("%s of %s", plural(len(tokens), "token"), plural(len(users), "user"))
	} else if !t.passed(err, "the token's user is not a superuser, or its scope does not list") {
		return err
	}

	id := t.oldest()
	t.operation("GetToken", "GET", "/tokens/"+clean(id), "One token by its ID; here the one that has been around longest.")
	if token, err := t.client.Tokens.GetToken(ctx, id); err == nil {
		used := "never used"
		if !token.LastUsedAt.IsZero() {
			used = "last used " + until(token.LastUsedAt, t.start)
		}
		t.result("%s, %s", describe(token), used)
	} else if !t.passed(err, "the token's scope does not let it look at tokens") {
		return err
	}
	return nil
}

// oldest returns the ID of the token that was created first, of those seen.
func (t *tour) oldest() string {
	if len(t.tokens) == 0 {
		return t.current.ID
	}
	return slices.MinFunc(t.tokens, func(a, b fastly.TokenResponse) int { return a.CreatedAt.Compare(b.CreatedAt) }).ID
}

func (t *tour) writes(ctx context.Context) error {
	t.operation("CreateToken", "POST", "/tokens", fmt.Sprintf("Four tokens for %d minutes, by user name and password: a key alone can't.", int(lifetime.Minutes())))
	// In the embedded server a token needs the scope global to revoke itself.
	// In a real account, the tokens can only purge.
	first := fastly.ScopePurgeSelect
	if t.account.Server != nil {
		first = fastly.ScopeGlobal
	}
	for i, scope := range []fastly.Scope{first, fastly.ScopePurgeSelect, fastly.ScopePurgeSelect, fastly.ScopePurgeSelect} {
		if err := t.create(ctx, i+1, scope); err != nil {
			return err
		}
	}
	secret := t.made[0].AccessToken
	t.result("%s to %s; an access token prints as %v", name(t.made[0]), name(t.made[len(t.made)-1]), secret)

	if err := t.revokeCurrent(ctx, t.made[0]); err != nil {
		return err
	}

	second := t.made[1]
	t.operation("RevokeToken", "DELETE", "/tokens/"+clean(second.ID), "One token by its ID.")
	if err := t.client.Tokens.RevokeToken(ctx, second.ID); err != nil {
		return err
	}
	t.revoked[second.ID] = true
	t.result("%s is revoked", name(second))

	var ids, names []string
	for _, token := range t.made {
		if !t.revoked[token.ID] {
			ids, names = append(ids, token.ID), append(names, name(token))
		}
	}
	t.operation("BulkRevokeTokens", "DELETE", "/tokens", "Any number of tokens in one request.")
	if err := t.client.Tokens.BulkRevokeTokens(ctx, ids); err != nil {
		return err
	}
	for _, id := range ids {
		t.revoked[id] = true
	}
	t.result("%s and %s are revoked", strings.Join(names[:len(names)-1], ", "), names[len(names)-1])
	return nil
}

// create creates a token by user name and password, and records it for the
// clean-up. [rotate.Create] is CreateToken with a known outcome: if the response is
// lost, it finds the token and revokes it.
func (t *tour) create(ctx context.Context, n int, scope fastly.Scope) error {
	req := &fastly.CreateTokenRequest{
		Name:      fmt.Sprintf("quickstart %d", n),
		Scopes:    fastly.Scopes{scope},
		ExpiresAt: time.Now().Add(lifetime),
		Username:  t.login.Username,
		Password:  t.login.Password,
		OTPFunc:   t.login.OTP,
	}
	var created *fastly.TokenCreatedResponse
	var err error
	for range maxCodes {
		req.OTP = t.console.code // a code is good for more than one token
		created, err = rotate.Create(ctx, t.client, req, t.client)
		if !errors.Is(err, fastly.ErrOTPRequired) || t.login.OTP != nil {
			break
		}
		if err := t.console.newCode(ctx); err != nil {
			return err
		}
	}
	// With an error, too, a response means that the token exists.
	if created != nil && created.ID != "" {
		t.made = append(t.made, created)
	}
	return err
}

// revokeCurrent lets a token revoke itself, through a client of its own.
func (t *tour) revokeCurrent(ctx context.Context, token *fastly.TokenCreatedResponse) error {
	t.operation("RevokeTokenCurrent", "DELETE", "/tokens/self", "A second client, which uses the first of these tokens, revokes its own.")
	second, err := t.account.Connect(token.AccessToken)
	if err != nil {
		return err
	}
	if err = second.Tokens.RevokeTokenCurrent(ctx); err == nil {
		t.revoked[token.ID] = true
		t.result("%s is revoked; its client no longer works", name(token))
	} else if !t.passed(err, fmt.Sprintf("a token of scope %s can't revoke itself here; it is revoked with the last ones", token.Scopes)) {
		return err
	}
	return nil
}

// notDone shows the operations that are left out.
func (t *tour) notDone() {
	for _, op := range []struct{ name, verb, path string }{
		{"CreateToken", "POST", "/tokens"},
		{"RevokeTokenCurrent", "DELETE", "/tokens/self"},
		{"RevokeToken", "DELETE", "/tokens/{id}"},
		{"BulkRevokeTokens", "DELETE", "/tokens"},
	} {
		t.step++
		t.out.Printf("%d  %s  %-6s %-14s  %s\n", t.step, t.style.Bold(fmt.Sprintf("%-18s", op.name)), op.verb, op.path, t.style.Dim("changes something: run with -write"))
	}
	t.out.Printf("\n")
}

// printTokens prints the tokens that existed before anything was created.
func (t *tour) printTokens() error {
	if len(t.tokens) == 0 {
		return nil
	}
	t.out.Printf("%s\n\n", t.style.Bold("The tokens, as "+t.table+" returned them (* this client's own)"))
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "  ID\tNAME\tSCOPE\tSERVICES\tEXPIRES\tLAST USED") // t.out keeps the error
	for i := range t.tokens {
		token := &t.tokens[i]
		own := "  "
		if token.ID == t.current.ID {
			own = "* "
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", own+clean(token.ID), cut(clean(token.Name), 15), scopesText(token.Scopes),
			servicesText(token.Services), until(token.ExpiresAt, t.start), until(token.LastUsedAt, t.start))
	}
	return w.Flush()
}

func (t *tour) summary() {
	line := func(what, format string, args ...any) {
		t.out.Printf("   %-12s  %s\n", what, fmt.Sprintf(format, args...))
	}
	t.out.Printf("\n%s\n\n", t.style.Bold("Summary"))
	line("operations", "%d of 8, in %s", t.done, time.Since(t.start).Round(time.Millisecond))
	var never, soon, global int
	for i := range t.tokens {
		expires := t.tokens[i].ExpiresAt
		if expires.IsZero() {
			never++
		} else if expires.Before(t.start.AddDate(0, 0, 30)) {
			soon++
		}
		if t.tokens[i].Scopes.Has(fastly.ScopeGlobal) {
			global++
		}
	}
	line("tokens seen", "%d: %d never expire, %d expire within 30 days, %d have the scope global", len(t.tokens), never, soon, global)
	line("tokens made", "%d, %d revoked", len(t.made), len(t.revoked))
	if limit, ok := t.client.RateLimit(); ok {
		reset := ""
		if !limit.Reset.IsZero() {
			reset = ", until " + limit.Reset.UTC().Format("15:04 MST")
		}
		line("rate limit", "%s left%s", plural(limit.Remaining, "change"), reset)
	}
	next := "go run ./cmd/fastly-token --help"
	if !t.write {
		next = "go run ./examples/quickstart -write, or " + next
	}
	line("next", "%s", next)
}

// cleanUp revokes the tokens made that are left, even after ctx has ended.
func (t *tour) cleanUp(ctx context.Context) error {
	if t.account.Server != nil {
		return nil // its tokens end with it
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	var errs []error
	cleaned := 0
	for _, token := range t.made {
		if t.revoked[token.ID] {
			continue
		}
		// A 404 means that it is already revoked.
		if err := t.client.Tokens.RevokeToken(ctx, token.ID); err != nil && !errors.Is(err, fastly.ErrNotFound) {
			errs = append(errs, fmt.Errorf("token %s (%q) is left, for at most %s: %w", clean(token.ID), token.Name, lifetime, err))
			continue
		}
		t.revoked[token.ID] = true
		cleaned++
	}
	if cleaned > 0 {
		t.out.Printf("\n   %s cleaned up: %s revoked\n", t.style.Green("→"), plural(cleaned, "token"))
	}
	return errors.Join(errs...)
}

// describe returns a token in one line.
func describe(token *fastly.TokenResponse) string {
	services := "every service"
	if n := len(token.Services); n > 0 {
		services = plural(n, "service")
	}
	expires := "never expires"
	if !token.ExpiresAt.IsZero() {
		expires = "expires " + until(token.ExpiresAt, time.Now())
	}
	return fmt.Sprintf("%s: %s, %s, %s", quote(token.Name), cut(cmp.Or(clean(token.Scopes.String()), "no scope"), 24), services, expires)
}

// name returns the name of a token made here, without its marker.
func name(token *fastly.TokenCreatedResponse) string { return quote(rotate.BaseName(token.Name)) }

// quote makes a name from the network safe to print.
func quote(name string) string { return `"` + cut(clean(name), 22) + `"` }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
