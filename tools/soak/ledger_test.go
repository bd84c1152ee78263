package soak_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// ledger records what the callers were told. Its fields can be read when the
// workers are done.
type ledger struct {
	returned map[string]fastly.TokenCreatedResponse // by name
	unknown  map[string]bool                        // creates of unknown outcome, by name
	rejected map[string]error                       // creates that were not applied, by name
	done     map[string]bool                        // revokes reported as done, by ID
	kept     map[string]error                       // revokes reported as not applied, by ID
	unclear  int                                    // revokes of unknown outcome
	errors   map[string]bool                        // the text of every error
	byOp     map[string]int                         // how many operations of each kind
	log      bytes.Buffer                           // of all clients

	server  *fastlytest.Server
	logger  *slog.Logger
	started atomic.Int64 // operations

	mu    sync.Mutex
	wrong []string // reads that returned something else
}

// run performs operations on several goroutines, each with a worker of its own.
func (l *ledger) run(ctx context.Context, goroutines, operations int, newWorker func(n int) *worker) {
	var wg sync.WaitGroup
	for n := range goroutines {
		wg.Go(func() {
			w := newWorker(n)
			defer w.close()
			for ctx.Err() == nil && l.started.Add(1) <= int64(operations) {
				w.step(ctx)
			}
		})
	}
	wg.Wait()
}

// password is that of every user. It is text that each encoding changes.
const password = `Canary "p<w>d&/+%41\'é; 10=ok~`

// newLedger makes a ledger for users of the server.
func newLedger(server *fastlytest.Server) *ledger {
	l := &ledger{
		returned: map[string]fastly.TokenCreatedResponse{}, unknown: map[string]bool{}, rejected: map[string]error{},
		done: map[string]bool{}, kept: map[string]error{}, errors: map[string]bool{}, byOp: map[string]int{},
		server: server,
	}
	l.logger = slog.New(slog.NewTextHandler(&l.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return l
}

// noteOperation counts an operation and records its error, if any.
func (l *ledger) noteOperation(name string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byOp[name]++
	if err != nil {
		l.errors[err.Error()] = true
	}
}

func (l *ledger) noteWrong(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// noteCreate records what the caller of a create was told, and reports whether
// that included the access token. An error of unknown outcome has to name the token.
func (l *ledger) noteCreate(name string, created *fastly.TokenCreatedResponse, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case created != nil && created.AccessToken != "":
		l.returned[name] = *created
		return true
	case errors.Is(err, fastly.ErrOutcomeUnknown) && strings.Contains(err.Error(), name):
		l.unknown[name] = true
	default:
		l.rejected[name] = err
	}
	return false
}

// unclear is what the error of a revoke says that may have happened nevertheless.
var unclear = regexp.MustCompile(`\bmay (have|be)\b`)

// noteRevoke records what the caller of a revoke was told, and returns how many of
// the tokens may be left.
func (l *ledger) noteRevoke(err error, ids ...string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	var response *fastly.GenericTokenError
	switch {
	case err == nil:
		for _, id := range ids {
			l.done[id] = true
		}
		return 0
	case errors.As(err, &response) && response.StatusCode >= 400 && response.StatusCode <= 499 && !unclear.MatchString(err.Error()):
		for _, id := range ids {
			l.kept[id] = err
		}
	default:
		l.unclear += len(ids)
	}
	return len(ids)
}

// finding is one way to break a promise, and each case of it.
type finding struct {
	what  string
	cases []string
}

func (f *finding) add(format string, args ...any) {
	f.cases = append(f.cases, fmt.Sprintf(format, args...))
}

var tokenLike = regexp.MustCompile(`[A-Za-z0-9_-]{32,}`)

// check compares what the callers were told with the server's own state. There is
// a finding for each promise, without cases if it was kept.
func (l *ledger) check() []finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	twice := finding{what: "creates that made two tokens"}
	unreported := finding{what: "tokens not reported to a caller"}
	wrongCreates := finding{what: "creates returned that are not the server's"}
	notDone := finding{what: "revokes reported as done that did not happen"}
	notKept := finding{what: "revokes reported as rejected that did happen"}
	wrongReads := finding{what: "reads that returned something else", cases: l.wrong}
	leaks := finding{what: "secrets in errors and logs"}

	tokens := map[string]fastly.TokenCreatedResponse{} // by ID
	there := map[string]fastly.TokenCreatedResponse{}  // by name
	secrets := map[string]bool{}
	for _, token := range l.server.Tokens() {
		tokens[token.ID] = token
		secrets[token.AccessToken.Reveal()] = true
		if !strings.HasPrefix(token.Name, namePrefix) {
			continue // put there by a worker
		}
		if other, ok := there[token.Name]; ok {
			twice.add("%s: %s and %s", token.Name, other.ID, token.ID)
		}
		there[token.Name] = token
	}
	for name := range there {
		if _, ok := l.returned[name]; !ok && !l.unknown[name] {
			unreported.add("%s: %v", name, l.rejected[name])
		}
	}
	for name, token := range l.returned {
		if there[name].ID != token.ID || there[name].AccessToken != token.AccessToken {
			wrongCreates.add("%s", name)
		}
	}
	for id := range l.done {
		if token, ok := tokens[id]; !ok || token.DeletedAt.IsZero() {
			notDone.add("%s", id)
		}
	}
	for id, err := range l.kept {
		if token, ok := tokens[id]; !ok || !token.DeletedAt.IsZero() {
			notKept.add("%s: %v", id, err)
		}
	}
	search := func(text string) {
		if hasPassword(text) {
			leaks.add("the password in %s", text)
		}
		for _, run := range tokenLike.FindAllString(text, -1) {
			for at := 0; at+32 <= len(run); at++ {
				if secrets[run[at:at+32]] {
					leaks.add("an access token in %s", text)
				}
			}
		}
	}
	for text := range l.errors {
		search(text)
	}
	for line := range strings.Lines(l.log.String()) {
		search(line)
	}
	return []finding{twice, unreported, wrongCreates, notDone, notKept, wrongReads, leaks}
}

// passwordParts are the parts of the password that show that it leaked, in each
// encoding that a text may have.
var passwordParts = sync.OnceValue(func() map[string]bool {
	inJSON, _ := json.Marshal(password) // a string, which can't fail
	parts := map[string]bool{}
	for _, form := range []string{
		password, string(inJSON), strconv.Quote(password), strconv.Quote(string(inJSON)), html.EscapeString(password),
		url.QueryEscape(password), url.PathEscape(password),
		base64.StdEncoding.EncodeToString([]byte(password)), hex.EncodeToString([]byte(password)),
	} {
		for at := 0; at+partLength <= len(form); at++ {
			parts[form[at:at+partLength]] = true
		}
	}
	return parts
})

const partLength = 8

func hasPassword(text string) bool {
	parts := passwordParts()
	for at := 0; at+partLength <= len(text); at++ {
		if parts[text[at:at+partLength]] {
			return true
		}
	}
	return false
}

// report prints what happened, and returns the promises that were broken, one for
// each case.
func (l *ledger) report(out io.Writer) (problems []string) {
	fmt.Fprintf(out, "operations %v; tokens on the server: %d\n", l.byOp, len(l.server.Tokens()))
	fmt.Fprintf(out, "creates returned %d, of unknown outcome %d, failed %d\n", len(l.returned), len(l.unknown), len(l.rejected))
	fmt.Fprintf(out, "revokes done %d, rejected %d, unclear (the error says so) %d\n", len(l.done), len(l.kept), l.unclear)
	fmt.Fprintf(out, "%d different errors, %d KiB of log\n", len(l.errors), l.log.Len()>>10)
	for _, found := range l.check() {
		fmt.Fprintf(out, "%s: %d\n", found.what, len(found.cases))
		for _, c := range found.cases[:min(len(found.cases), 50)] {
			problems = append(problems, found.what+": "+c)
		}
	}
	return problems
}
