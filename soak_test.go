package fastly_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

var (
	soakSeed = flag.Uint64("soak.seed", envSeed(), "`seed` of TestSoak's random numbers (default $FASTLY_SOAK_SEED, else a random one)")
	soakOps  = flag.Int("soak.ops", 12000, "`number` of operations of TestSoak")
)

func envSeed() uint64 {
	if seed, err := strconv.ParseUint(os.Getenv("FASTLY_SOAK_SEED"), 10, 64); err == nil {
		return seed
	}
	return rand.Uint64()
}

const (
	soakWorkers = 16
	// soakTimeout is that of an attempt: what stalls takes that long. Should a
	// busy machine take longer for an honest response, that is one fault more.
	soakTimeout = 60 * time.Millisecond
	// soakLeftovers is how many tokens a user may have that nobody revokes,
	// before it reaches the limit of 100.
	soakLeftovers = 60
)

// soak is what all workers share: the server, and what was reported to callers.
type soak struct {
	srv  *fastlytest.Server
	trap string // the target of redirects
	log  logBuffer

	mu       sync.Mutex
	returned map[string]fastly.TokenCreatedResponse // by name
	unknown  map[string]bool                        // creates of unknown outcome, by name
	rejected map[string]error                       // creates that were not applied, by name
	done     map[string]bool                        // revokes reported as done, by ID
	kept     map[string]error                       // revokes reported as not applied, by ID
	unclear  int                                    // revokes of unknown outcome
	errors   map[string]bool                        // the text of every error
	byOp     map[string]int
}

// TestSoak runs random operations under random faults, and at the end compares
// what was reported to the callers with what the server has.
func TestSoak(t *testing.T) {
	t.Parallel()
	t.Logf("seed %d: repeat with -soak.seed=%[1]d or FASTLY_SOAK_SEED=%[1]d (goroutines still run in random order)", *soakSeed)
	start := time.Now()
	trapped, visits := trap(t, httptest.NewServer)
	s := &soak{
		srv: newAPI(t, fastlytest.WithRateLimit(1<<30)), trap: trapped.URL,
		returned: map[string]fastly.TokenCreatedResponse{}, unknown: map[string]bool{}, rejected: map[string]error{},
		done: map[string]bool{}, kept: map[string]error{}, errors: map[string]bool{}, byOp: map[string]int{},
	}
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(*soakOps))
	for n := range soakWorkers {
		wg.Go(func() {
			w := &soakWorker{soak: s, t: t, n: n, rnd: rand.New(rand.NewPCG(*soakSeed, uint64(n)))}
			w.renew()
			for left.Add(-1) >= 0 {
				w.step()
			}
		})
	}
	wg.Wait()
	requests := len(s.srv.Requests())
	// This also ends requests that clients have abandoned.
	s.srv.Close()

	assert.Zero(t, visits.Load(), "requests that followed a redirect")
	s.checkCreates(t)
	s.checkRevokes(t)
	s.checkSecrets(t)
	t.Logf("%d operations %v, %d requests in %v: %d tokens on the server; creates: %d returned, %d of unknown outcome, %d rejected; revokes: %d done, %d kept, %d unclear; %d different errors, %d KiB of log",
		*soakOps, s.byOp, requests, time.Since(start).Round(time.Millisecond), len(s.srv.Tokens()),
		len(s.returned), len(s.unknown), len(s.rejected), len(s.done), len(s.kept), s.unclear, len(s.errors), len(s.log.String())>>10)
	if *soakOps >= 10000 {
		for what, n := range map[string]int{
			"tokens returned": len(s.returned), "creates of unknown outcome": len(s.unknown), "creates rejected": len(s.rejected),
			"revokes done": len(s.done), "revokes kept": len(s.kept), "revokes unclear": s.unclear,
		} {
			assert.Greater(t, n, 50, "%s: the soak was too easy", what)
		}
	}
}

func (s *soak) checkCreates(t *testing.T) {
	t.Helper()
	there := map[string]fastly.TokenCreatedResponse{}
	for _, token := range s.srv.Tokens() {
		if !strings.HasPrefix(token.Name, "soak-") {
			continue // put there by the test
		}
		if other, ok := there[token.Name]; ok {
			assert.Fail(t, "a create made two tokens", "%s: %s and %s", token.Name, other.ID, token.ID)
		}
		there[token.Name] = token
		if _, ok := s.returned[token.Name]; !ok && !s.unknown[token.Name] {
			assert.Fail(t, "a token that was not reported", "%s: %v", token.Name, s.rejected[token.Name])
		}
	}
	for name, token := range s.returned {
		assert.Equal(t, there[name].ID, token.ID, "ID of %s", name)
		assert.Equal(t, there[name].AccessToken.Reveal(), token.AccessToken.Reveal(), "access token of %s", name)
	}
	for name, err := range s.rejected {
		assert.NotContains(t, there, name, "a create reported as not applied: %v", err)
	}
}

func (s *soak) checkRevokes(t *testing.T) {
	t.Helper()
	for id := range s.done {
		token, ok := s.srv.Token(id)
		assert.True(t, ok && !token.DeletedAt.IsZero(), "revoke of %s was reported as done, but was not applied", id)
	}
	for id, err := range s.kept {
		token, ok := s.srv.Token(id)
		assert.True(t, ok && token.DeletedAt.IsZero(), "revoke of %s was reported as not applied, but was: %v", id, err)
	}
}

var tokenLike = regexp.MustCompile(`[A-Za-z0-9_-]{32,}`)

// checkSecrets searches the errors and the log for every key, access token and
// password.
func (s *soak) checkSecrets(t *testing.T) {
	t.Helper()
	secrets := map[string]bool{}
	for _, token := range s.srv.Tokens() {
		secrets[token.AccessToken.Reveal()] = true
	}
	check := func(what, text string) {
		for _, run := range tokenLike.FindAllString(text, -1) {
			for at := 0; at+32 <= len(run); at++ {
				if secrets[run[at:at+32]] {
					assert.Fail(t, "an access token leaked", "%s: %s", what, text)
				}
			}
		}
	}
	for text := range s.errors {
		check("error", text)
		assertNoSecretIn(t, "error", text)
	}
	for line := range strings.Lines(s.log.String()) {
		check("log", line)
		assertNoSecretIn(t, "log", line)
	}
}

// soakWorker is the part of one goroutine: a user of its own, replaced once it
// has too many tokens.
type soakWorker struct {
	*soak
	t      *testing.T
	n      int
	made   int
	rnd    *rand.Rand
	user   fastlytest.User
	client *fastly.Client
	live   []fastly.TokenCreatedResponse // tokens that can be revoked
	idle   int                           // how many can't
}

func (w *soakWorker) newClient(auth fastly.Option) *fastly.Client {
	c, err := fastly.NewClient(
		fastly.WithBaseURL(w.srv.URL), auth, quickRetry,
		fastly.WithHTTPClient(&http.Client{Timeout: soakTimeout}),
		fastly.WithLogger(slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	if err != nil {
		panic(err) // not the subject of this test
	}
	return c
}

// customer is each worker's own, or lists would take most of the time.
func (w *soakWorker) customer() string { return fmt.Sprintf("customer%02d", w.n) }

func (w *soakWorker) renew() {
	w.user = w.srv.AddUser(fastlytest.User{Superuser: true, Password: canaryPassword, CustomerID: w.customer()})
	w.client = w.newClient(fastly.WithAPIKey(addToken(w.srv, w.user.ID).AccessToken.Reveal()))
	w.live, w.idle = nil, 0
}

// step may inject a fault, which hits the next request of any worker, and performs
// one operation.
func (w *soakWorker) step() {
	if w.rnd.IntN(100) < 45 {
		w.srv.Inject(w.fault())
	}
	if w.idle+len(w.live) > soakLeftovers {
		w.renew()
	}
	ctx := w.t.Context()
	if w.rnd.IntN(100) < 3 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(w.rnd.IntN(3000))*time.Microsecond)
		defer cancel()
	}
	steps := []struct {
		weight int
		name   string
		do     func(context.Context) error
	}{
		{36, "create", w.create}, {22, "revoke", w.revoke}, {8, "bulk revoke", w.revokeBulk}, {5, "revoke current", w.revokeCurrent},
		{12, "get", w.get}, {5, "get current", w.getCurrent}, {9, "list", w.list}, {3, "list of customer", w.listCustomer},
	}
	n := w.rnd.IntN(100)
	for _, s := range steps {
		if n -= s.weight; n < 0 {
			err := s.do(ctx)
			w.mu.Lock()
			w.byOp[s.name]++
			if err != nil {
				w.errors[err.Error()] = true
			}
			w.mu.Unlock()
			return
		}
	}
}

// fault returns a random one. None says of a revoke what the API never says: that a
// token does not exist which does.
func (w *soakWorker) fault() fastlytest.Fault {
	pick := func(statuses ...int) int { return statuses[w.rnd.IntN(len(statuses))] }
	method := []string{"GET", "POST", "DELETE", "DELETE", "POST"}[w.rnd.IntN(5)]
	switch n := w.rnd.IntN(100); {
	case n < 12:
		return fastlytest.Fault{Kind: fastlytest.CutBefore, Method: method}
	case n < 28:
		return fastlytest.Fault{Kind: fastlytest.CutAfter, Method: method}
	case n < 40:
		return fastlytest.Fault{Kind: fastlytest.CutMiddle, Method: method, Keep: w.rnd.IntN(400)}
	case n < 43:
		return fastlytest.Fault{Kind: fastlytest.Stall, Method: method}
	case n < 47:
		return fastlytest.Fault{Kind: fastlytest.StallAfter, Method: method}
	case n < 49:
		return fastlytest.Fault{Kind: fastlytest.StallMiddle, Method: method, Keep: w.rnd.IntN(400)}
	case n < 52:
		return fastlytest.Fault{Kind: fastlytest.Delay, Method: method, Delay: time.Duration(w.rnd.IntN(10)) * time.Millisecond}
	case n < 60:
		return fastlytest.Fault{Kind: fastlytest.Status, Method: method, Status: pick(500, 502, 503, 504)}
	case n < 68:
		return fastlytest.Fault{Kind: fastlytest.StatusAfter, Method: method, Status: pick(500, 502, 503, 504, 501, 520)}
	case n < 76:
		return fastlytest.Fault{Kind: fastlytest.Status, Method: method, Status: pick(400, 409, 422)}
	case n < 79: // an hour to wait
		return fastlytest.Fault{Kind: fastlytest.Status, Method: method, Status: 429}
	case n < 85:
		return fastlytest.Fault{Kind: fastlytest.Status, Method: method, Status: 429, Body: `{"msg":"slow down"}`, Header: http.Header{"Retry-After": {"0"}}}
	case n < 88:
		return fastlytest.Fault{Kind: fastlytest.Status, Method: notDelete(method), Status: pick(401, 403, 404)}
	case n < 92:
		return fastlytest.Fault{Kind: fastlytest.Status, Method: "POST", Status: pick(400, 500), Body: `{"msg":` + quoteJSON("wrong: "+canaryPassword) + `}`}
	case n < 96:
		return fastlytest.Fault{Kind: fastlytest.Garbage, Method: method}
	default:
		return fastlytest.Fault{Kind: fastlytest.Redirect, Method: method, Status: pick(301, 302, 303, 307, 308), Location: w.trap}
	}
}

// notDelete returns method, but POST instead of DELETE.
func notDelete(method string) string {
	if method == http.MethodDelete {
		return http.MethodPost
	}
	return method
}

func (w *soakWorker) create(ctx context.Context) error {
	w.made++
	name := fmt.Sprintf("soak-%02d-%05d", w.n, w.made)
	created, err := w.client.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
		Name: name, Scopes: fastly.Scopes{fastly.ScopePurgeAll}, Username: w.user.Login, Password: canaryPassword,
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case created != nil && created.AccessToken != "":
		w.returned[name] = *created
		w.live = append(w.live, *created)
	case errors.Is(err, fastly.ErrOutcomeUnknown) && strings.Contains(err.Error(), name):
		w.unknown[name] = true
		w.idle++
	default:
		w.rejected[name] = err
	}
	return err
}

// report records what the caller of a revoke got.
func (w *soakWorker) report(err error, ids ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var response *fastly.GenericTokenError
	for _, id := range ids {
		switch {
		case err == nil:
			w.done[id] = true
		case errors.As(err, &response) && response.StatusCode >= 400 && response.StatusCode <= 499 && !strings.Contains(err.Error(), "may have"):
			w.kept[id] = err
			w.idle++
		default:
			w.unclear++
			w.idle++
		}
	}
}

// take removes a random live token.
func (w *soakWorker) take() (id string, ok bool) {
	if len(w.live) == 0 {
		return "", false
	}
	i := w.rnd.IntN(len(w.live))
	id = w.live[i].ID
	w.live = slices.Delete(w.live, i, i+1)
	return id, true
}

func (w *soakWorker) revoke(ctx context.Context) error {
	id, ok := w.take()
	if !ok {
		return w.create(ctx)
	}
	err := w.client.Tokens.RevokeToken(ctx, id)
	w.report(err, id)
	return err
}

func (w *soakWorker) revokeBulk(ctx context.Context) error {
	var ids []string
	for range 1 + w.rnd.IntN(3) {
		if id, ok := w.take(); ok {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return w.create(ctx)
	}
	err := w.client.Tokens.BulkRevokeTokens(ctx, ids)
	w.report(err, ids...)
	return err
}

func (w *soakWorker) revokeCurrent(ctx context.Context) error {
	token := addToken(w.srv, w.user.ID)
	auth := fastly.WithAPIKey(token.AccessToken.Reveal())
	if w.rnd.IntN(2) == 0 {
		auth = fastly.WithTransport(&fastly.APIKeyTransport{Key: token.AccessToken, Host: hostOf(w.t, w.srv.URL)})
	}
	err := w.newClient(auth).Tokens.RevokeTokenCurrent(ctx)
	w.report(err, token.ID)
	return err
}

func (w *soakWorker) get(ctx context.Context) error {
	if len(w.live) == 0 {
		return w.create(ctx)
	}
	want := w.live[w.rnd.IntN(len(w.live))]
	got, err := w.client.Tokens.GetToken(ctx, want.ID)
	if err == nil {
		assert.Equal(w.t, want.ID, got.ID)
		assert.Equal(w.t, want.Name, got.Name)
	}
	return err
}

func (w *soakWorker) getCurrent(ctx context.Context) error {
	got, err := w.client.Tokens.GetTokenCurrent(ctx)
	if err == nil {
		assert.Equal(w.t, w.user.ID, got.UserID)
	}
	return err
}

func (w *soakWorker) list(ctx context.Context) error {
	got, err := w.client.Tokens.ListTokensUser(ctx)
	w.checkList(got, err)
	return err
}

func (w *soakWorker) listCustomer(ctx context.Context) error {
	got, err := w.client.Tokens.ListTokensCustomer(ctx, w.customer())
	w.checkList(got, err)
	return err
}

// checkList checks that a list has every token that is known to exist.
func (w *soakWorker) checkList(got []fastly.TokenResponse, err error) {
	if err != nil {
		assert.Nil(w.t, got)
		return
	}
	listed := make(map[string]bool, len(got))
	for _, token := range got {
		listed[token.ID] = true
	}
	for _, token := range w.live {
		assert.True(w.t, listed[token.ID], "%s is not in the list", token.Name)
	}
}

func TestSoakSeedFromTheEnvironment(t *testing.T) {
	t.Setenv("FASTLY_SOAK_SEED", "12345678901234567890")
	require.Equal(t, uint64(12345678901234567890), envSeed())
	t.Setenv("FASTLY_SOAK_SEED", "")
	first, second := envSeed(), envSeed()
	require.NotEqual(t, first, second)
}
