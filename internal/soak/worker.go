package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// leftovers is how many tokens a user may have that nobody revokes, before it
// reaches the limit of 100.
const leftovers = 60

const password = "soak-canary-password"

// worker is one goroutine with a user of its own, replaced once it has too many
// tokens.
type worker struct {
	*ledger
	url    string
	n      int
	made   int
	rnd    *rand.Rand
	http   *http.Client
	user   fastlytest.User
	client *fastly.Client
	live   []fastly.TokenCreatedResponse // that can be revoked
	idle   int                           // that can't
}

func newWorker(l *ledger, url string, n int, o options) *worker {
	w := &worker{ledger: l, url: url, n: n, rnd: rand.New(rand.NewPCG(o.seed, uint64(n)))} //nolint:gosec // random operations are no secret
	w.http = &http.Client{Timeout: o.timeout}
	// Half of the workers have the library's own transport.
	switch n % 4 {
	case 0:
		t := &http.Transport{Protocols: new(http.Protocols)}
		t.Protocols.SetHTTP1(true)
		w.http.Transport = t
	case 1:
		w.http.Transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	w.renew()
	return w
}

func (w *worker) close() {
	w.client.CloseIdleConnections()
	w.http.CloseIdleConnections()
}

func (w *worker) newClient(key fastly.Secret) *fastly.Client {
	c, err := fastly.NewClient(
		fastly.WithBaseURL(w.url), fastly.WithAPIKey(key.Reveal()), fastly.WithHTTPClient(w.http),
		fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: time.Millisecond, MaxBackoff: 50 * time.Millisecond}),
		fastly.WithLogger(slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	if err != nil {
		panic(err) // not what this program tests
	}
	return c
}

// customer is each worker's own; otherwise lists would take most of the time.
func (w *worker) customer() string { return fmt.Sprintf("customer%02d", w.n) }

func (w *worker) renew() {
	if w.client != nil {
		w.client.CloseIdleConnections()
	}
	w.user = w.server.AddUser(fastlytest.User{Superuser: true, Password: password, CustomerID: w.customer()})
	w.client = w.newClient(w.server.AddToken(w.user.ID, fastly.TokenCreatedResponse{}).AccessToken)
	w.live, w.idle = nil, 0
}

// step does one operation.
func (w *worker) step(ctx context.Context) {
	if w.idle+len(w.live) > leftovers {
		w.renew()
	}
	if w.rnd.IntN(100) < 3 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(w.rnd.IntN(10000))*time.Microsecond)
		defer cancel()
	}
	steps := []struct {
		weight int
		do     func(context.Context) error
	}{
		{36, w.create}, {22, w.revoke}, {8, w.revokeBulk}, {5, w.revokeCurrent},
		{12, w.get}, {5, w.getCurrent}, {9, w.list}, {3, w.listCustomer},
	}
	n := w.rnd.IntN(100)
	for _, s := range steps {
		if n -= s.weight; n < 0 {
			w.noteError(s.do(ctx))
			return
		}
	}
}

func (w *worker) create(ctx context.Context) error {
	w.made++
	name := fmt.Sprintf("soak-%02d-%06d", w.n, w.made)
	created, err := w.client.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
		Name: name, Scopes: fastly.Scopes{fastly.ScopePurgeAll}, Username: w.user.Login, Password: password,
	})
	if w.noteCreate(name, created, err) {
		w.live = append(w.live, *created)
	} else if errors.Is(err, fastly.ErrOutcomeUnknown) {
		w.idle++
	}
	return err
}

// take removes a random live token.
func (w *worker) take() (id string, ok bool) {
	if len(w.live) == 0 {
		return "", false
	}
	i := w.rnd.IntN(len(w.live))
	id = w.live[i].ID
	w.live = slices.Delete(w.live, i, i+1)
	return id, true
}

func (w *worker) revoke(ctx context.Context) error {
	id, ok := w.take()
	if !ok {
		return w.create(ctx)
	}
	err := w.client.Tokens.RevokeToken(ctx, id)
	w.idle += w.noteRevoke(err, id)
	return err
}

func (w *worker) revokeBulk(ctx context.Context) error {
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
	w.idle += w.noteRevoke(err, ids...)
	return err
}

func (w *worker) revokeCurrent(ctx context.Context) error {
	token := w.server.AddToken(w.user.ID, fastly.TokenCreatedResponse{})
	c := w.newClient(token.AccessToken)
	if w.http.Transport == nil {
		defer c.CloseIdleConnections() // no other client uses them
	}
	err := c.Tokens.RevokeTokenCurrent(ctx)
	w.idle += w.noteRevoke(err, token.ID)
	return err
}

func (w *worker) get(ctx context.Context) error {
	if len(w.live) == 0 {
		return w.create(ctx)
	}
	want := w.live[w.rnd.IntN(len(w.live))]
	got, err := w.client.Tokens.GetToken(ctx, want.ID)
	if err == nil && (got.ID != want.ID || got.Name != want.Name) {
		w.noteWrong("asked for %s %q, got %s %q", want.ID, want.Name, got.ID, got.Name)
	}
	return err
}

func (w *worker) getCurrent(ctx context.Context) error {
	got, err := w.client.Tokens.GetTokenCurrent(ctx)
	if err == nil && got.UserID != w.user.ID {
		w.noteWrong("the current token is said to be of %s and is of %s", got.UserID, w.user.ID)
	}
	return err
}

func (w *worker) list(ctx context.Context) error {
	got, err := w.client.Tokens.ListTokensUser(ctx)
	w.checkList(got, err)
	return err
}

func (w *worker) listCustomer(ctx context.Context) error {
	got, err := w.client.Tokens.ListTokensCustomer(ctx, w.customer())
	w.checkList(got, err)
	return err
}

// checkList checks that a list has every token that is known to exist.
func (w *worker) checkList(got []fastly.TokenResponse, err error) {
	if err != nil {
		return
	}
	there := map[string]bool{}
	for _, token := range got {
		there[token.ID] = true
	}
	for _, token := range w.live {
		if !there[token.ID] {
			w.noteWrong("a list of %d tokens lacks %s", len(got), token.Name)
		}
	}
}
