package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
)

// batch is how many tokens are revoked by one request.
const batch = 100

// revokeUnused revokes what was found unused, and returns how many that were.
// Its error says that not all of them could be.
func (a *audit) revokeUnused(ctx context.Context, rep report, said io.Writer) (revoked int, err error) {
	doomed := a.doomed(rep)
	p := demo.NewPrinter(said)
	p.Printf("\n")
	if len(doomed) == 0 {
		p.Printf("No unused token to revoke.\n")
		return 0, p.Err()
	}
	if !a.yes {
		ok, err := a.confirm(ctx, doomed)
		if err != nil {
			return 0, err
		}
		if !ok {
			p.Printf("Nothing was revoked.\n")
			return 0, p.Err()
		}
		// The answer may have taken a while, and a token been used meanwhile.
		tokens, err := a.list(ctx)
		if err != nil {
			return 0, err
		}
		again := a.doomed(a.rules.apply(tokens, a.current.ID, time.Now()))
		doomed = slices.DeleteFunc(doomed, func(f finding) bool { return !contains(again, f.ID) })
	}
	var errs []error
	for some := range slices.Chunk(doomed, batch) {
		n, err := a.revokeBatch(ctx, some, p)
		revoked += n
		if errs = append(errs, err); err != nil {
			break
		}
	}
	return revoked, errors.Join(append(errs, p.Err())...)
}

// doomed are the unused tokens. The one that this program runs with is never
// among them.
func (a *audit) doomed(rep report) []finding {
	var doomed []finding
	for _, f := range rep.Tokens {
		if f.has(unused) && f.ID != a.current.ID {
			doomed = append(doomed, f)
		}
	}
	return doomed
}

func contains(list []finding, id string) bool {
	return slices.ContainsFunc(list, func(f finding) bool { return f.ID == id })
}

// confirm asks at the terminal.
func (a *audit) confirm(ctx context.Context, doomed []finding) (bool, error) {
	p := demo.NewPrinter(a.stderr)
	p.Printf("To be revoked, because they were not used for %s:\n", a.rules.unused.String())
	for i := range doomed {
		p.Printf("  %s\n", label(&doomed[i]))
	}
	p.Printf("A revoked token can't be brought back. Type yes to revoke %d: ", len(doomed))
	if err := p.Err(); err != nil {
		return false, err
	}
	answer := make(chan string, 1)
	go func() { // reading can't be interrupted
		line, _ := bufio.NewReader(a.stdin).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case line := <-answer:
		return strings.EqualFold(line, "yes"), nil
	case <-ctx.Done():
		return false, errors.New("interrupted; nothing was revoked")
	}
}

// revokeBatch revokes tokens by one request and reports each of them.
func (a *audit) revokeBatch(ctx context.Context, doomed []finding, p *demo.Printer) (revoked int, err error) {
	ids := make([]string, len(doomed))
	for i := range doomed {
		ids[i] = doomed[i].ID
	}
	err = a.client.Tokens.BulkRevokeTokens(ctx, ids)
	if err == nil {
		for i := range doomed {
			p.Printf("revoked      %s\n", label(&doomed[i]))
		}
		return len(doomed), nil
	}

	// All, some or none of them may be gone: look.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	tokens, listErr := a.list(ctx)
	if listErr != nil {
		for i := range doomed {
			p.Printf("unknown      %s\n", label(&doomed[i]))
		}
		return 0, errors.Join(err, listErr)
	}
	for i := range doomed {
		if slices.ContainsFunc(tokens, func(t fastly.TokenResponse) bool { return t.ID == doomed[i].ID && t.DeletedAt.IsZero() }) {
			p.Printf("not revoked  %s\n", label(&doomed[i]))
		} else {
			p.Printf("gone         %s\n", label(&doomed[i]))
			revoked++
		}
	}
	if revoked == len(doomed) {
		err = nil // only the answer was lost
	}
	return revoked, err
}

func label(f *finding) string {
	return fmt.Sprintf("%s  %s", demo.Cut(demo.Text(f.ID), 22), demo.Cut(demo.Text(f.Name), 50))
}
