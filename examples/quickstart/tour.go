package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// lifetime of the tokens made here: should everything else fail, they are gone
// soon.
const lifetime = 10 * time.Minute

// tour is one walk through the operations.
type tour struct {
	client  *fastly.Client
	server  *fastlytest.Server // nil: a real API
	connect demo.Connector     // for another client of that
	write   bool
	out     *demo.Printer
	style   demo.Style
	start   time.Time

	current *fastly.TokenResponse
	table   string                 // the operation that filled tokens
	tokens  []fastly.TokenResponse // of the customer, or else of the user
	step    int
	done    int

	mark    string                         // in the name of each token made here
	made    []*fastly.TokenCreatedResponse // all of them, in order
	revoked map[string]bool                // by ID
	unsure  bool                           // there may be one that is not in made
}

func newTour(client *fastly.Client, server *fastlytest.Server, connect demo.Connector, write bool, stdout io.Writer) *tour {
	return &tour{
		client:  client,
		server:  server,
		connect: connect,
		write:   write || server != nil,
		out:     demo.NewPrinter(stdout),
		style:   demo.StyleFor(stdout),
		start:   time.Now(),
		mark:    "quickstart " + rand.Text()[:8],
		revoked: map[string]bool{},
	}
}

// walk goes through the operations. However it ends, what it made is revoked.
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
	return t.out.Err()
}

func (t *tour) heading() {
	t.out.Printf("%s\n\n", t.style.Bold("Fastly Tokens API: the eight operations"))
	switch {
	case t.server != nil:
		t.out.Printf("This is an %s in this process, %s, with made-up tokens.\n", t.style.Bold("embedded server"), t.server.URL)
		t.out.Printf("Nothing leaves this machine. Set FASTLY_API_TOKEN to use the real API.\n\n")
	case t.write:
		t.out.Printf("This is the API at %s. -write: four tokens are made that live for\n", demo.Text(demo.BaseURL()))
		t.out.Printf("%d minutes, and revoked again. Your own tokens are not touched.\n\n", int(lifetime.Minutes()))
	default:
		t.out.Printf("This is the API at %s. Only read operations run; -write also creates tokens\n", demo.Text(demo.BaseURL()))
		t.out.Printf("that live %d minutes, and revokes them.\n\n", int(lifetime.Minutes()))
	}
}

// operation announces the next one.
func (t *tour) operation(name, verb, path, what string) {
	t.step++
	t.out.Printf("%d  %s  %-6s %s\n   %s\n", t.step, t.style.Bold(fmt.Sprintf("%-18s", name)), verb, path, t.style.Dim(what))
}

// result says what came back.
func (t *tour) result(format string, args ...any) {
	t.done++
	t.out.Printf("   %s %s\n\n", t.style.Green("→"), fmt.Sprintf(format, args...))
}

// passed says why the API would not do it, if that is no reason to stop: what a
// token may do is up to its scope and user.
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

	t.operation("ListTokensUser", "GET", "/tokens", "The active tokens of the client's user, in one answer.")
	if t.tokens, err = t.client.Tokens.ListTokensUser(ctx); err == nil {
		t.table = "ListTokensUser"
		t.result("%s", plural(len(t.tokens), "token"))
	} else if !t.passed(err, "listing takes the scope global or global:read") {
		return err
	}

	t.operation("ListTokensCustomer", "GET", "/customer/"+demo.Text(t.current.CustomerID)+"/tokens", "Those of everyone in the account; the user has to be a superuser.")
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
	t.operation("GetToken", "GET", "/tokens/"+demo.Text(id), "One token by its ID; here the one that has been around longest.")
	if token, err := t.client.Tokens.GetToken(ctx, id); err == nil {
		used := "never used"
		if !token.LastUsedAt.IsZero() {
			used = "last used " + demo.Until(token.LastUsedAt, t.start)
		}
		t.result("%s, %s", describe(token), used)
	} else if !t.passed(err, "the token's scope does not let it look at tokens") {
		return err
	}
	return nil
}

// oldest is the ID of the token that was made first, of those seen.
func (t *tour) oldest() string {
	if len(t.tokens) == 0 {
		return t.current.ID
	}
	return slices.MinFunc(t.tokens, func(a, b fastly.TokenResponse) int { return a.CreatedAt.Compare(b.CreatedAt) }).ID
}

func (t *tour) writes(ctx context.Context) error {
	t.operation("CreateToken", "POST", "/tokens", fmt.Sprintf("Four tokens that live for %d minutes. Only this answer has the access token.", int(lifetime.Minutes())))
	// In the embedded server a token needs the scope global to revoke itself.
	// In an account of someone's nothing stronger than a purge is made.
	first := fastly.ScopePurgeSelect
	if t.server != nil {
		first = fastly.ScopeGlobal
	}
	for i, scope := range []fastly.Scope{first, fastly.ScopePurgeSelect, fastly.ScopePurgeSelect, fastly.ScopePurgeSelect} {
		if err := t.create(ctx, i+1, scope); err != nil {
			return err
		}
	}
	secret := t.made[0].AccessToken
	t.result("%q to %q; an access token prints as %v", t.made[0].Name, t.made[len(t.made)-1].Name, secret)

	if err := t.revokeCurrent(ctx, t.made[0]); err != nil {
		return err
	}

	second := t.made[1]
	t.operation("RevokeToken", "DELETE", "/tokens/"+demo.Text(second.ID), "One token by its ID.")
	if err := t.client.Tokens.RevokeToken(ctx, second.ID); err != nil {
		return err
	}
	t.revoked[second.ID] = true
	t.result("%q is revoked", second.Name)

	var ids, names []string
	for _, token := range t.made {
		if !t.revoked[token.ID] {
			ids, names = append(ids, token.ID), append(names, fmt.Sprintf("%q", token.Name))
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

// create makes a token and notes it for the clean-up.
func (t *tour) create(ctx context.Context, n int, scope fastly.Scope) error {
	created, err := t.client.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
		Name:      fmt.Sprintf("%s/%d", t.mark, n),
		Scopes:    fastly.Scopes{scope},
		ExpiresAt: time.Now().Add(lifetime),
	})
	// A response can come with an error: the token is there all the same.
	if created != nil && created.ID != "" {
		t.made = append(t.made, created)
	} else if err != nil {
		t.unsure = created != nil || errors.Is(err, fastly.ErrOutcomeUnknown)
	}
	return err
}

// revokeCurrent lets a token revoke itself, through a client of its own.
func (t *tour) revokeCurrent(ctx context.Context, token *fastly.TokenCreatedResponse) error {
	t.operation("RevokeTokenCurrent", "DELETE", "/tokens/self", "A second client, which uses the first of these tokens, revokes its own.")
	second, err := t.clientOf(token.AccessToken)
	if err != nil {
		return err
	}
	if err = second.Tokens.RevokeTokenCurrent(ctx); err == nil {
		t.revoked[token.ID] = true
		t.result("%q is revoked; its client is of no use any more", token.Name)
	} else if !t.passed(err, fmt.Sprintf("a token of scope %s can't revoke itself here; it goes with the last ones", token.Scopes)) {
		return err
	}
	return nil
}

// clientOf returns a client of the same API that uses another token.
func (t *tour) clientOf(key fastly.Secret) (*fastly.Client, error) {
	if t.server != nil {
		return t.server.Client(fastly.WithAPIKey(key.Reveal())), nil
	}
	client, _, err := t.connect(false, io.Discard, fastly.WithAPIKey(key.Reveal()))
	return client, err
}

// notDone names the operations that were left out.
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

// printTokens is the table of the tokens there were before anything was made.
func (t *tour) printTokens() error {
	if len(t.tokens) == 0 {
		return nil
	}
	t.out.Printf("%s\n\n", t.style.Bold("The tokens, as "+t.table+" returned them (* this client's own)"))
	columns := []demo.Column{
		{Title: "  ID", Max: 24}, {Title: "NAME", Max: 15}, {Title: "SCOPE", Max: 16}, {Title: "SERVICES", Right: true},
		{Title: "EXPIRES", Max: 14}, {Title: "LAST USED", Max: 14},
	}
	rows := make([][]string, len(t.tokens))
	for i := range t.tokens {
		token := &t.tokens[i]
		own := "  "
		if token.ID == t.current.ID {
			own = "* "
		}
		rows[i] = []string{
			own + demo.Text(token.ID), demo.Text(token.Name), demo.ScopesText(token.Scopes), demo.ServicesText(token.Services),
			demo.Until(token.ExpiresAt, t.start), demo.Until(token.LastUsedAt, t.start),
		}
	}
	return demo.Table(t.out, "", columns, rows)
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
	line("tokens seen", "%d: %d without an end, %d ending within 30 days, %d with the scope global", len(t.tokens), never, soon, global)
	line("tokens made", "%d, %d revoked", len(t.made), len(t.revoked))
	if limit, ok := t.client.RateLimit(); ok {
		reset := ""
		if !limit.Reset.IsZero() {
			reset = ", until " + limit.Reset.UTC().Format("15:04 MST")
		}
		line("rate limit", "%s left%s", plural(limit.Remaining, "change"), reset)
	}
	next := "go run ./examples/audit"
	if !t.write {
		next = "go run ./examples/quickstart -write, or " + next
	}
	line("next", "%s", next)
}

// cleanUp revokes what was made and is still there, even after ctx has ended.
func (t *tour) cleanUp(ctx context.Context) error {
	if t.server != nil {
		return nil // its tokens go with it
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()

	names := map[string]string{} // by ID
	for _, token := range t.made {
		names[token.ID] = token.Name
	}
	var errs []error
	if t.unsure {
		// Nobody else uses the mark.
		found, err := t.client.Tokens.ListTokensUser(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("a token named %q… may be left, for at most %s: %w", t.mark, lifetime, err))
		}
		for i := range found {
			if strings.HasPrefix(found[i].Name, t.mark) {
				names[found[i].ID] = found[i].Name
			}
		}
	}
	cleaned := 0
	for _, id := range slices.Sorted(maps.Keys(names)) {
		name := names[id]
		if t.revoked[id] {
			continue
		}
		// A 404 is as good: it is gone.
		if err := t.client.Tokens.RevokeToken(ctx, id); err != nil && !errors.Is(err, fastly.ErrNotFound) {
			errs = append(errs, fmt.Errorf("token %s (%q) is left, for at most %s: %w", demo.Text(id), name, lifetime, err))
			continue
		}
		t.revoked[id] = true
		cleaned++
	}
	if cleaned > 0 {
		t.out.Printf("\n   %s cleaned up: %s revoked\n", t.style.Green("→"), plural(cleaned, "token"))
	}
	return errors.Join(errs...)
}

// describe is a token in one line.
func describe(token *fastly.TokenResponse) string {
	services := "every service"
	if n := len(token.Services); n > 0 {
		services = plural(n, "service")
	}
	expires := "never expires"
	if !token.ExpiresAt.IsZero() {
		expires = "expires " + demo.Until(token.ExpiresAt, time.Now())
	}
	return fmt.Sprintf("%s: %s, %s, %s", quote(token.Name), demo.Cut(cmp.Or(demo.Text(token.Scopes.String()), "no scope"), 24), services, expires)
}

// quote is a name from the network as it may be shown.
func quote(name string) string { return `"` + demo.Cut(demo.Text(name), 22) + `"` }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
