// Package facts states what this project takes the Fastly Tokens API to be: each
// fact once, with how it is known, and with a check that observes it over plain
// net/http, without this library.
//
// Its tests check all facts against fastlytest and write docs/api.md from them;
// tools/verify-api checks them against any server.
package facts

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Fact is one statement about the API.
type Fact struct {
	ID     string
	Says   string // a sentence, in Markdown
	By     Source
	Needs  Need
	Effect Effect
	// Check returns nil if the fact holds, and what was seen if it does not.
	Check func(context.Context, *Probe) error
}

// Source is how a fact is known.
type Source struct {
	Rank Rank
	Name string
}

// Rank is how well a fact is known.
type Rank string

// The ranks. Where sources disagree, what was recorded goes first, then what
// clients do, then what is documented.
const (
	Documented Rank = "documented"
	Recorded   Rank = "recorded"
	InTheField Rank = "clients in the field"
	Assumed    Rank = "assumed"
)

// The sources, all of which are public.
var (
	reference = Source{Documented, "Fastly's API reference"}
	basicDocs = Source{Documented, "documentation of Fastly's generated clients"}
	recording = Source{Recorded, "recorded tests of Fastly's Go client"}
	goClient  = Source{InTheField, "Fastly's Go client and command-line tool"}
	generated = Source{InTheField, "Fastly's generated clients"}
	adobe     = Source{InTheField, "npm package @adobe/fastly-native-promises"}
	programs  = Source{InTheField, "programs, and reports of their users"}
	inference = Source{Assumed, "inference"}
)

// Effect is what a check does to an account.
type Effect int

// Effects. Harmful checks are not for an account that anyone uses: they send a
// wrong password or code, lock the user, use up the rate limit, or may make a token
// without limit or end.
const (
	Reads  Effect = iota
	Writes        // makes, confirms or revokes a token, or tries to
	Harms
)

// Need is a set of what a check can't do without.
type Need int

// What checks need. Whether a key is a superuser's shows only when it is used:
// without one, the check can't tell.
const (
	Key Need = 1 << iota
	Login
	Superuser
	PurgeToken
	AutomationToken
	Sudo
	OtherKey
)

func (n Need) String() string {
	var words []string
	for i, word := range []string{"a key", "a login", "a superuser", "a purge token's key", "an automation token's key",
		"permission to POST /sudo", "another user's key"} {
		if n&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	if words == nil {
		return "nothing"
	}
	return strings.Join(words, ", ")
}

// Verdict is the result of a check.
type Verdict string

// The verdicts.
const (
	Holds       Verdict = "holds"
	DoesNotHold Verdict = "does not hold"
	CantTell    Verdict = "can't tell"
)

// Group is the facts of one subject.
type Group struct {
	Title string
	Facts []Fact
}

// Groups returns every fact in the order of checks: those of tokens that are revoked
// follow those that made them, and the last ones lock the user and use up the rate
// limit.
func Groups() []Group {
	return []Group{
		{"Tokens, as they are read", reads},
		{"Authentication, errors and header fields", responses},
		{"Automation tokens", automation},
		{"Creating tokens", creates},
		{"Tokens of purge scopes", purges},
		{"Revoking, tokens of other users, expiry and the rate limit", revokes},
		{"`POST /sudo`", sudo},
		{"What would do harm to an account", harmful},
	}
}

// each returns facts that all need this, and have this effect.
func each(needs Need, effect Effect, all []Fact) []Fact {
	for i := range all {
		all[i].Needs |= needs
		all[i].Effect = effect
	}
	return all
}

// Run checks the fact. The reason is empty if it holds.
func (f Fact) Run(ctx context.Context, p *Probe) (v Verdict, reason string) {
	var err error
	missing := f.Needs &^ p.has()
	switch {
	case f.Effect == Harms && !p.Harmful:
		err = cantTell("checked only with --write, and on a server on this machine")
	case f.Effect != Reads && !p.Write:
		err = cantTell("checked only with --write")
	case missing != 0:
		err = cantTell("it needs %s", missing)
	default:
		err = f.Check(ctx, p)
	}
	if err == nil {
		return Holds, ""
	}
	if _, ok := errors.AsType[unknown](err); ok {
		return CantTell, err.Error()
	}
	return DoesNotHold, err.Error()
}

// unknown is the error of a check that could not observe its fact.
type unknown string

func (u unknown) Error() string { return string(u) }

func cantTell(format string, args ...any) error { return unknown(fmt.Sprintf(format, args...)) }
