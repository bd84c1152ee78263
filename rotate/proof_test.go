package rotate_test

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/rotate"
)

var sequences = flag.Int("sequences", 1, "the longest sequence of troubles of a rotation to run")

// page is what a firewall sends.
const page = "<html><title>Blocked</title></html>"

// faults is every kind of fault that ends. A server that lies (it responds 4xx
// and has done it, or 404 for what exists) is not among them.
var faults = []trouble{
	{name: "cut before", fault: fastlytest.Fault{Kind: fastlytest.CutBefore}},
	{name: "cut after", fault: fastlytest.Fault{Kind: fastlytest.CutAfter}},
	{name: "cut in the ID", fault: fastlytest.Fault{Kind: fastlytest.CutMiddle, Keep: 8}},
	{name: "cut in the middle", fault: fastlytest.Fault{Kind: fastlytest.CutMiddle}},
	{name: "cut at the end", fault: fastlytest.Fault{Kind: fastlytest.CutMiddle, Keep: 1 << 20}},
	{name: "stall", fault: fastlytest.Fault{Kind: fastlytest.Stall, Delay: time.Millisecond}},
	{name: "stall after", fault: fastlytest.Fault{Kind: fastlytest.StallAfter, Delay: time.Millisecond}},
	{name: "stall in the middle", fault: fastlytest.Fault{Kind: fastlytest.StallMiddle, Delay: time.Millisecond}},
	{name: "503", fault: fastlytest.Fault{Kind: fastlytest.Status, Status: 503}},
	{name: "503 after", fault: fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 503}},
	{name: "429", fault: fastlytest.Fault{Kind: fastlytest.Status, Status: 429}},
	{name: "403", fault: fastlytest.Fault{Kind: fastlytest.Status, Status: 403}},
	{name: "401", fault: fastlytest.Fault{Kind: fastlytest.Status, Status: 401}},
	{name: "400", fault: fastlytest.Fault{Kind: fastlytest.Status, Status: 400}},
	{name: "garbage", fault: fastlytest.Fault{Kind: fastlytest.Garbage}},
	{name: "endless", fault: fastlytest.Fault{Kind: fastlytest.Endless}},
	{name: "redirect", fault: fastlytest.Fault{Kind: fastlytest.Redirect, Location: "https://example.com/"}},
	{name: "page 401", fault: fastlytest.Fault{Kind: fastlytest.Status, Status: 401, Foreign: true, Body: page}},
	{name: "page 403", fault: fastlytest.Fault{Kind: fastlytest.Status, Status: 403, Foreign: true, Body: page}},
	{name: "page 403 after", fault: fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 403, Foreign: true, Body: page}},
	{name: "page 404", fault: fastlytest.Fault{Kind: fastlytest.Status, Status: 404, Foreign: true, Body: "default backend - 404"}},
	{name: "page 404 after", fault: fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 404, Foreign: true, Body: `{"message":"not found"}`}},
	{name: "gateway 404", fault: fastlytest.Fault{Kind: fastlytest.Status, Status: 404, Foreign: true, Body: `{"title":"not found","status":404}`}},
	{name: "delay", fault: fastlytest.Fault{Kind: fastlytest.Delay, Delay: time.Millisecond}},
}

// effect sends the request of an operation with a fault, and returns all that a
// rotation can see of it, then or later: what it looks at in the response, and
// the tokens.
func effect(t *testing.T, w *world, op string, fault *fastlytest.Fault) string {
	t.Helper()
	c := w.client(t, w.admin.AccessToken)
	ctx := t.Context()
	if fault != nil {
		w.troubles = []trouble{{fault: *fault, name: "fault"}}
	}
	var seen string
	var err error
	switch op {
	case "GET /tokens/self":
		_, err = c.Tokens.GetTokenCurrent(ctx)
	case "GET /tokens/ID":
		_, err = c.Tokens.GetToken(ctx, w.old.ID)
	case "GET /tokens":
		_, err = c.Tokens.ListTokensUser(ctx)
	case "DELETE /tokens/ID":
		err = c.Tokens.RevokeToken(ctx, w.old.ID)
	case "POST /tokens":
		var created *fastly.TokenCreatedResponse
		if created, err = c.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{Name: "new"}); created != nil {
			seen = fmt.Sprintf("ID %t, access token %t, ", created.ID != "", created.AccessToken != "")
		}
	default:
		require.Fail(t, "a rotation sends "+op)
	}
	w.look()
	seen += fmt.Sprintf("%d tokens, error %t", len(w.tokens), err != nil)
	for _, sentinel := range []error{
		fastly.ErrUnauthorized, fastly.ErrForbidden, fastly.ErrNotFound, fastly.ErrInvalidResponse, fastly.ErrInvalidArgument, fastly.ErrOutcomeUnknown,
	} {
		seen += fmt.Sprintf(", %t", errors.Is(err, sentinel))
	}
	response, ok := errors.AsType[*fastly.GenericTokenError](err)
	return seen + fmt.Sprintf(", %t, %t", ok && response.StatusCode/100 == 4, ok && strings.Contains(response.Body, `"msg"`))
}

// classes returns, for each operation, a fault of each kind that a rotation can
// tell from the others.
func classes(t *testing.T) map[string][]trouble {
	t.Helper()
	all := map[string][]trouble{}
	for _, op := range []string{"GET /tokens/self", "GET /tokens/ID", "GET /tokens", "DELETE /tokens/ID", "POST /tokens"} {
		seen := map[string]bool{}
		a := newAPI(t)
		synctest.Test(t, func(t *testing.T) {
			seen[effect(t, newWorld(a, setup{}, nil), op, nil)] = true
			for _, tr := range faults {
				if e := effect(t, newWorld(a, setup{}, nil), op, &tr.fault); !seen[e] {
					seen[e] = true
					all[op] = append(all[op], tr)
				}
			}
		})
	}
	return all
}

// sequence is what became of a sequence of troubles.
type sequence struct {
	troubles []trouble
	ops      []string
	ends     []runEnd
	log      string
}

// runEnd is the end of a run that a later one has to follow.
type runEnd struct {
	ops    int // before it
	future string
}

// over reports whether the last trouble was before the nth operation.
func (s *sequence) over(n int) bool {
	return len(s.troubles) == 0 || s.troubles[len(s.troubles)-1].op < n
}

// prover runs all sequences of troubles of a setup, except those that would
// repeat others: what follows the end of a run depends on the world alone. So a
// sequence without more troubles ends in a world from which another one has come
// to its end, and one that comes to a world that another has come to, with no
// more troubles, is not extended there.
type prover struct {
	setup
	api     *api
	good    map[string]bool // futures that come to their end
	reached map[string]bool // futures that are extended
	n       int             // sequences
}

func newProver(t *testing.T, s setup) *prover {
	p := &prover{setup: s, api: startAPI(fastlytest.WithLag(s.lag)), good: map[string]bool{}, reached: map[string]bool{}}
	t.Cleanup(func() { p.api.close() })
	return p
}

func (p *prover) run(t *testing.T, troubles []trouble) *sequence {
	t.Helper()
	if len(p.api.Tokens()) > 100 {
		p.api.close()
		p.api = startAPI(fastlytest.WithLag(p.lag))
	}
	p.n++
	s := &sequence{troubles: troubles}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(p.api, p.setup, troubles)
		w.always = true
		err := p.follow(t, w, s)
		s.ops, s.log = w.ops, w.log.String()
		require.NoError(t, err, "troubles %v:\n%s", s.troubles, s.log)
	})
	return s
}

// follow runs the rotation until it is at its end, and looks at the world after
// each run.
func (p *prover) follow(t *testing.T, w *world, s *sequence) error {
	const maxRuns = 8
	for range maxRuns {
		result, err := w.rotate(t)
		w.look()
		if err := cmp.Or(w.violation, w.broken()); err != nil {
			return err
		}
		if !errors.Is(err, errCrash) {
			if untrue := w.untrue(result, err); untrue != nil {
				return untrue
			}
		}
		switch {
		case w.rotated() && w.silent(err):
			return fmt.Errorf("which token is in use is not said: %w", err)
		case w.rotated():
			for _, end := range s.ends {
				p.good[end.future] = p.good[end.future] || s.over(end.ops)
			}
			return nil
		case err != nil && w.told(result):
			return nil
		case err == nil && result.State != rotate.StateHandedOver:
			return errors.New("no error, and not rotated")
		case err == nil:
			time.Sleep(time.Until(result.RevokeAt))
		}
		end := runEnd{len(w.ops), w.future()}
		s.ends = append(s.ends, end)
		if s.over(end.ops) && p.good[end.future] {
			return nil
		}
	}
	return errors.New("there is no end")
}

// extend returns the sequences that have one trouble more than s.
func (p *prover) extend(s *sequence, of func(op string) []trouble) (longer [][]trouble) {
	to := len(s.ops)
	for _, end := range s.ends {
		switch {
		case !s.over(end.ops):
		case p.reached[end.future]:
			to = min(to, end.ops)
		case end.ops < len(s.ops): // else another sequence has gone on from here
			p.reached[end.future] = true
		}
	}
	for op := range to {
		if !s.over(op) || repeats(s.ops, op) {
			continue
		}
		for _, tr := range of(s.ops[op]) {
			tr.op = op
			longer = append(longer, append(slices.Clone(s.troubles), tr))
		}
	}
	return longer
}

// prove runs all sequences of up to n troubles.
func (p *prover) prove(t *testing.T, n int, of func(op string) []trouble) {
	t.Helper()
	clear(p.good)
	clear(p.reached)
	for sequences := [][]trouble{nil}; n >= 0; n-- {
		var longer [][]trouble
		for _, troubles := range sequences {
			s := p.run(t, troubles)
			if n > 0 {
				longer = append(longer, p.extend(s, of)...)
			}
		}
		sequences = longer
	}
}

// TestRotationSurvivesEverySequenceOfTroubles runs, for each setup, the
// sequences of
//   - one trouble: each fault of fastlytest at each request, a crash before and
//     after each operation, each error of the journal and of the handover, an end
//     of the context, and a run of another machine with a journal of its own;
//   - with -sequences=2, two troubles of these, with the faults that a rotation can tell
//     apart;
//   - with -sequences=3 and without lag, three faults of the three that differ most.
//
// Before each operation and after each run the destination of the handover has to hold
// a token that works, no token may be wider than the old one, and no secret may
// be shown. After each run the result has to be true. In the end, after more
// runs, the new token has to be the only one.
func TestRotationSurvivesEverySequenceOfTroubles(t *testing.T) {
	t.Parallel()
	start := time.Now()
	distinct := classes(t)
	for op, troubles := range distinct {
		names := []string{}
		for _, tr := range troubles {
			names = append(names, tr.name)
		}
		t.Logf("%s: a rotation can tell apart %q", op, names)
	}
	requests := func(op string) []trouble { return distinct[op] }
	few := func(op string) (troubles []trouble) {
		for _, tr := range distinct[op] {
			if slices.Contains([]string{"cut after", "401", "page 403 after"}, tr.name) {
				troubles = append(troubles, tr)
			}
		}
		return troubles
	}
	all := func(faults func(op string) []trouble) func(op string) []trouble {
		return func(op string) []trouble {
			names := []string{crashBefore, crashAfter, canceled, anotherRun}
			switch op {
			case "save", "put":
				names = append(names, failBefore, failAfter)
			case "get":
				names = []string{crashBefore, failBefore, anotherRun}
			case "lock", "unlock":
				names = []string{crashBefore, failBefore}
			}
			troubles := slices.Clone(faults(op))
			for _, name := range names {
				troubles = append(troubles, trouble{name: name})
			}
			return troubles
		}
	}
	literal := func(op string) []trouble {
		switch {
		case distinct[op] == nil:
			return nil
		case op == "GET /tokens": // the client reads 64 MiB before it gives up
			return slices.DeleteFunc(slices.Clone(faults), func(tr trouble) bool { return tr.name == "endless" })
		}
		return faults
	}
	var n atomic.Int64
	t.Run("setups", func(t *testing.T) {
		for _, s := range []setup{
			{name: "by another key", get: true},
			{name: "by another key, to a command"},
			{name: "by itself and a login", own: true, get: true, login: true},
			{name: "by itself, to a command", own: true, login: true},
			{name: "with a grace period", get: true, login: true, grace: time.Hour},
			{name: "by itself, with a grace period and no waiting", own: true, get: true, grace: time.Hour, noWait: true},
			{name: "by another key, with lag", get: true, lag: time.Second},
			{name: "by itself and a login, to a command, with lag", own: true, login: true, lag: time.Second},
		} {
			s.patience = 2 * time.Second
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				p := newProver(t, s)
				p.prove(t, 1, all(literal))
				if *sequences >= 2 {
					p.prove(t, 2, all(requests))
				}
				if *sequences >= 3 && s.lag == 0 {
					p.prove(t, 3, few)
				}
				n.Add(int64(p.n))
				t.Logf("%d sequences", p.n)
			})
		}
	})
	t.Logf("%d sequences in %v", n.Load(), time.Since(start).Round(time.Second))
}
