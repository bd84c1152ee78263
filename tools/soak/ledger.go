package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// Ledger records what the callers were told. Its fields can be read when the
// workers are done.
type Ledger struct {
	Returned map[string]fastly.TokenCreatedResponse // by name
	Unknown  map[string]bool                        // creates of unknown outcome, by name
	Rejected map[string]error                       // creates that were not applied, by name
	Done     map[string]bool                        // revokes reported as done, by ID
	Kept     map[string]error                       // revokes reported as not applied, by ID
	Unclear  int                                    // revokes of unknown outcome
	Errors   map[string]bool                        // the text of every error
	ByOp     map[string]int                         // how many operations of each kind
	Log      bytes.Buffer                           // of all clients

	server *fastlytest.Server
	logger *slog.Logger

	mu    sync.Mutex
	wrong []string // reads that returned something else
}

// password is that of every user. It is text that each encoding changes.
const password = `Canary "p<w>d&/+%41\'é; 10=ok~`

// NewLedger makes a ledger for users of the server.
func NewLedger(server *fastlytest.Server) *Ledger {
	l := &Ledger{
		Returned: map[string]fastly.TokenCreatedResponse{}, Unknown: map[string]bool{}, Rejected: map[string]error{},
		Done: map[string]bool{}, Kept: map[string]error{}, Errors: map[string]bool{}, ByOp: map[string]int{},
		server: server,
	}
	l.logger = slog.New(slog.NewTextHandler(&l.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return l
}

// noteOperation counts an operation and records its error, if any.
func (l *Ledger) noteOperation(name string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ByOp[name]++
	if err != nil {
		l.Errors[err.Error()] = true
	}
}

func (l *Ledger) noteWrong(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// noteCreate records what the caller of a create was told, and reports whether
// that included the access token. An error of unknown outcome has to name the token.
func (l *Ledger) noteCreate(name string, created *fastly.TokenCreatedResponse, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case created != nil && created.AccessToken != "":
		l.Returned[name] = *created
		return true
	case errors.Is(err, fastly.ErrOutcomeUnknown) && strings.Contains(err.Error(), name):
		l.Unknown[name] = true
	default:
		l.Rejected[name] = err
	}
	return false
}

// noteRevoke records what the caller of a revoke was told, and returns how many of
// the tokens may be left.
func (l *Ledger) noteRevoke(err error, ids ...string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	var response *fastly.GenericTokenError
	switch {
	case err == nil:
		for _, id := range ids {
			l.Done[id] = true
		}
		return 0
	case errors.As(err, &response) && response.StatusCode >= 400 && response.StatusCode <= 499 && !strings.Contains(err.Error(), "may have"):
		for _, id := range ids {
			l.Kept[id] = err
		}
	default:
		l.Unclear += len(ids)
	}
	return len(ids)
}

// Finding is one way to break a promise, and each case of it.
type Finding struct {
	What  string
	Cases []string
}

func (f *Finding) add(format string, args ...any) {
	f.Cases = append(f.Cases, fmt.Sprintf(format, args...))
}

var tokenLike = regexp.MustCompile(`[A-Za-z0-9_-]{32,}`)

// Check compares what the callers were told with the server's own state. There is
// a finding for each promise, without cases if it was kept.
func (l *Ledger) Check() []Finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	twice := Finding{What: "creates that made two tokens"}
	unreported := Finding{What: "tokens not reported to a caller"}
	wrongCreates := Finding{What: "creates returned that are not the server's"}
	notDone := Finding{What: "revokes reported as done that did not happen"}
	notKept := Finding{What: "revokes reported as rejected that did happen"}
	wrongReads := Finding{What: "reads that returned something else", Cases: l.wrong}
	leaks := Finding{What: "secrets in errors and logs"}

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
		if _, ok := l.Returned[name]; !ok && !l.Unknown[name] {
			unreported.add("%s: %v", name, l.Rejected[name])
		}
	}
	for name, token := range l.Returned {
		if there[name].ID != token.ID || there[name].AccessToken != token.AccessToken {
			wrongCreates.add("%s", name)
		}
	}
	for id := range l.Done {
		if token, ok := tokens[id]; !ok || token.DeletedAt.IsZero() {
			notDone.add("%s", id)
		}
	}
	for id, err := range l.Kept {
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
	for text := range l.Errors {
		search(text)
	}
	for line := range strings.Lines(l.Log.String()) {
		search(line)
	}
	return []Finding{twice, unreported, wrongCreates, notDone, notKept, wrongReads, leaks}
}

// passwordParts are the parts of the password that show that it leaked, in each
// encoding that a text may have.
var passwordParts = sync.OnceValue(func() []string {
	inJSON, _ := json.Marshal(password) // a string, which can't fail
	var parts []string
	for _, form := range []string{
		password, string(inJSON), strconv.Quote(password), strconv.Quote(string(inJSON)), html.EscapeString(password),
		url.QueryEscape(password), url.PathEscape(password),
		base64.StdEncoding.EncodeToString([]byte(password)), hex.EncodeToString([]byte(password)),
	} {
		for at := 0; at+partLength <= len(form); at++ {
			parts = append(parts, form[at:at+partLength])
		}
	}
	return parts
})

const partLength = 8

func hasPassword(text string) bool {
	return slices.ContainsFunc(passwordParts(), func(part string) bool { return strings.Contains(text, part) })
}
