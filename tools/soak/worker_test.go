package soak_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

const (
	// namePrefix tells the created tokens from those that workers have as keys.
	namePrefix = "soak-"
	// leftovers is how many tokens a user may have that nobody revokes, before it
	// reaches the limit of 100.
	leftovers = 60
)

// worker performs operations on one goroutine, with a user of its own that is
// replaced once it has too many tokens.
type worker struct {
	*ledger
	url     string // of the server, or of a proxy in front of it
	n       int    // the worker's number
	rand    *rand.Rand
	options []fastly.Option // of each client
	before  func()          // each operation; may be nil
	shared  *fastly.Client  // if not nil, performs creates and nothing else
	// auth authenticates clients that revoke their own token. Nil means WithAPIKey.
	auth func(key fastly.Secret) fastly.Option

	made   int
	user   fastlytest.User
	client *fastly.Client                // of the user
	live   []fastly.TokenCreatedResponse // tokens that can be revoked
	idle   int                           // how many can't
}

func (w *worker) close() {
	if w.client != nil && w.client != w.shared {
		w.client.CloseIdleConnections()
	}
}

func (w *worker) newClient(auth fastly.Option) *fastly.Client {
	c, err := fastly.NewClient(append([]fastly.Option{fastly.WithBaseURL(w.url), fastly.WithLogger(w.logger), auth}, w.options...)...)
	if err != nil {
		panic(err) // not what is tested
	}
	return c
}

// customer is each worker's own, or lists would take most of the time.
func (w *worker) customer() string { return fmt.Sprintf("customer%02d", w.n) }

func (w *worker) renew() {
	w.close()
	w.user = w.server.AddUser(fastlytest.User{Superuser: true, Password: password, CustomerID: w.customer()})
	w.client = w.shared
	if w.client == nil {
		w.client = w.newClient(fastly.WithAPIKey(w.addToken().AccessToken.Reveal()))
	}
	w.live, w.idle = nil, 0
}

func (w *worker) addToken() fastly.TokenCreatedResponse {
	return w.server.AddToken(w.user.ID, fastly.TokenCreatedResponse{})
}

// step performs one operation, now and then for a caller who hardly waits.
func (w *worker) step(ctx context.Context) {
	if w.client == nil || w.idle+len(w.live) > leftovers {
		w.renew()
	}
	if w.shared != nil {
		w.noteOperation("create", w.create(ctx))
		return
	}
	if w.before != nil {
		w.before()
	}
	if w.rand.IntN(100) < 3 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(w.rand.IntN(5000))*time.Microsecond)
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
	n := w.rand.IntN(100)
	for _, s := range steps {
		if n -= s.weight; n < 0 {
			w.noteOperation(s.name, s.do(ctx))
			return
		}
	}
}

func (w *worker) create(ctx context.Context) error {
	w.made++
	name := fmt.Sprintf("%s%02d-%06d", namePrefix, w.n, w.made)
	created, err := w.client.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
		Name: name, Scopes: fastly.Scopes{fastly.ScopePurgeAll}, Username: w.user.Login, Password: fastly.Secret(password),
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
	i := w.rand.IntN(len(w.live))
	id = w.live[i].ID
	w.live = slices.Delete(w.live, i, i+1)
	return id, true
}

// revoked records what the caller of a revoke was told.
func (w *worker) revoked(err error, ids ...string) error {
	w.idle += w.noteRevoke(err, ids...)
	return err
}

func (w *worker) revoke(ctx context.Context) error {
	id, ok := w.take()
	if !ok {
		return w.create(ctx)
	}
	return w.revoked(w.client.Tokens.RevokeToken(ctx, id), id)
}

func (w *worker) revokeBulk(ctx context.Context) error {
	var ids []string
	for range 1 + w.rand.IntN(3) {
		if id, ok := w.take(); ok {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return w.create(ctx)
	}
	return w.revoked(w.client.Tokens.BulkRevokeTokens(ctx, ids), ids...)
}

func (w *worker) revokeCurrent(ctx context.Context) error {
	token := w.addToken()
	auth := fastly.WithAPIKey(token.AccessToken.Reveal())
	if w.auth != nil {
		auth = w.auth(token.AccessToken)
	}
	c := w.newClient(auth)
	defer c.CloseIdleConnections()
	return w.revoked(c.Tokens.RevokeTokenCurrent(ctx), token.ID)
}

func (w *worker) get(ctx context.Context) error {
	if len(w.live) == 0 {
		return w.create(ctx)
	}
	want := w.live[w.rand.IntN(len(w.live))]
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

// checkList checks that a list has every token that is known to exist. One that
// comes with an error is not complete.
func (w *worker) checkList(got []fastly.TokenResponse, err error) {
	if err != nil {
		return
	}
	there := make(map[string]bool, len(got))
	for _, token := range got {
		there[token.ID] = true
	}
	for _, token := range w.live {
		if !there[token.ID] {
			w.noteWrong("a list of %d tokens lacks %s", len(got), token.Name)
		}
	}
}
