package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// ledger records what the callers were told.
type ledger struct {
	server *fastlytest.Server
	log    logBuffer

	mu       sync.Mutex
	returned map[string]fastly.TokenCreatedResponse // by name
	unknown  map[string]bool                        // creates of unknown outcome, by name
	rejected map[string]error                       // creates that did not happen, by name
	done     map[string]bool                        // revokes reported as done, by ID
	kept     map[string]error                       // revokes reported as rejected, by ID
	unclear  int                                    // revokes of unknown outcome
	errors   map[string]bool                        // every error's text
	wrong    []string                               // reads that returned something else
}

func newLedger(server *fastlytest.Server) *ledger {
	return &ledger{
		server:   server,
		returned: map[string]fastly.TokenCreatedResponse{}, unknown: map[string]bool{}, rejected: map[string]error{},
		done: map[string]bool{}, kept: map[string]error{}, errors: map[string]bool{},
	}
}

// logBuffer is a log that several goroutines write to.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *logBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (l *ledger) noteError(err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors[err.Error()] = true
}

func (l *ledger) noteWrong(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// noteCreate records what the caller of a create was told, and reports whether
// that included the access token.
func (l *ledger) noteCreate(name string, created *fastly.TokenCreatedResponse, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case created != nil && created.AccessToken != "":
		l.returned[name] = *created
		return true
	case errors.Is(err, fastly.ErrOutcomeUnknown):
		l.unknown[name] = true
	default:
		l.rejected[name] = err
	}
	return false
}

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
	case errors.As(err, &response) && response.StatusCode >= 400 && response.StatusCode <= 499 &&
		!errors.Is(err, fastly.ErrOutcomeUnknown) && !strings.Contains(err.Error(), "may have"):
		for _, id := range ids {
			l.kept[id] = err
		}
	default:
		l.unclear += len(ids)
	}
	return len(ids)
}

// findings is what check found.
type findings struct {
	rows    [][2]string // of the table
	details []string    // one for each broken promise
}

var tokenLike = regexp.MustCompile(`[A-Za-z0-9_-]{32,}`)

// check compares what the callers were told with the server's own state.
func (l *ledger) check() (f findings) {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := func(what string, find func(report func(format string, args ...any))) {
		n := 0
		find(func(format string, args ...any) {
			n++
			f.details = append(f.details, what+": "+fmt.Sprintf(format, args...))
		})
		f.rows = append(f.rows, [2]string{what, strconv.Itoa(n)})
	}
	there := map[string]fastly.TokenCreatedResponse{}
	tokens := map[string]fastly.TokenCreatedResponse{}
	secrets := map[string]bool{}
	count("creates that made two tokens", func(report func(string, ...any)) {
		for _, token := range l.server.Tokens() {
			tokens[token.ID] = token
			secrets[token.AccessToken.Reveal()] = true
			if !strings.HasPrefix(token.Name, "soak-") {
				continue // added by this program
			}
			if _, twice := there[token.Name]; twice {
				report("%s", token.Name)
			}
			there[token.Name] = token
		}
	})
	count("tokens not reported to a caller", func(report func(string, ...any)) {
		for name := range there {
			if _, ok := l.returned[name]; !ok && !l.unknown[name] {
				report("%s: %v", name, l.rejected[name])
			}
		}
	})
	count("creates returned that are not the server's", func(report func(string, ...any)) {
		for name, token := range l.returned {
			if there[name].ID != token.ID || there[name].AccessToken != token.AccessToken {
				report("%s", name)
			}
		}
	})
	count("revokes reported as done that did not happen", func(report func(string, ...any)) {
		for id := range l.done {
			if token, ok := tokens[id]; !ok || token.DeletedAt.IsZero() {
				report("%s", id)
			}
		}
	})
	count("revokes reported as rejected that did happen", func(report func(string, ...any)) {
		for id, err := range l.kept {
			if !tokens[id].DeletedAt.IsZero() {
				report("%s: %v", id, err)
			}
		}
	})
	count("reads that returned something else", func(report func(string, ...any)) {
		for _, text := range l.wrong {
			report("%s", text)
		}
	})
	count("secrets in errors and logs", func(report func(string, ...any)) {
		search := func(text string) {
			if strings.Contains(text, password) {
				report("the password in %s", text)
			}
			for _, run := range tokenLike.FindAllString(text, -1) {
				for at := 0; at+32 <= len(run); at++ {
					if secrets[run[at:at+32]] {
						report("an access token in %s", text)
					}
				}
			}
		}
		for text := range l.errors {
			search(text)
		}
		for line := range strings.Lines(l.log.text.String()) {
			search(line)
		}
	})
	return f
}
