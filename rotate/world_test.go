package rotate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/rotate"
)

// trouble is what goes wrong with an operation: a request, or a call of the
// journal or the handover.
type trouble struct {
	op    int    // the nth of a world, from 0
	on    string // or the nth of this name, from 1
	nth   int
	name  string
	fault fastlytest.Fault // of a request, unless name is one of those below
}

const (
	crashBefore = "crash before" // the process ends before the operation
	crashAfter  = "crash after"  // and after it, without a look at its result
	failBefore  = "fail before"  // an error, nothing done
	failAfter   = "fail after"   // an error, although it was done
	canceled    = "cancel"       // the context ends before the operation
	anotherRun  = "another run"  // of another machine, from its beginning to its end, before the operation
)

func (t trouble) String() string { return fmt.Sprintf("%d: %s", t.op, t.name) }

var errCrash = errors.New("crash")

// setup is a way to rotate.
type setup struct {
	name   string
	own    bool // the client's key is the old token
	get    bool // the destination of the handover can be read
	login  bool
	grace  time.Duration
	noWait bool
	// patience is that of the rotation, and lag that of the API.
	patience, lag time.Duration
}

// world is a user with a token to rotate, the place where that token is used,
// and the journal of the rotation, which is the world itself.
type world struct {
	setup
	*wire
	user       fastlytest.User
	admin, old fastly.TokenCreatedResponse
	place      fastly.Secret
	record     []byte
	troubles   []trouble
	ops        []string // the operations so far
	log        strings.Builder
	tokens     []fastly.TokenCreatedResponse // that work, except the admin's
	cancel     context.CancelFunc
	// always says to look at the world before each operation, too.
	always    bool
	violation error
	raced     bool // another run has begun
}

// at returns the trouble at the nth operation of a name.
func at(op string, nth int, name string, fault fastlytest.Fault) trouble {
	return trouble{on: op, nth: nth, name: name, fault: fault}
}

func newWorld(a *api, s setup, troubles []trouble) *world {
	a.clock.Store(epoch.UnixNano())
	w := &world{setup: s, wire: a.wire(), user: a.AddUser(fastlytest.User{}), troubles: troubles}
	sudo := epoch.Add(lifetime)
	w.admin = a.AddToken(w.user.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: "admin", SudoExpiresAt: sudo}})
	scopes := fastly.Scopes{fastly.ScopePurgeSelect, fastly.ScopePurgeAll}
	if s.own {
		scopes = fastly.Scopes{fastly.ScopeGlobal}
	}
	w.old = a.AddToken(w.user.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		Name: "deploy", Scopes: scopes, Services: []string{service},
		CreatedAt: epoch.Add(-time.Hour), ExpiresAt: epoch.Add(-time.Hour).Add(lifetime), SudoExpiresAt: sudo,
	}})
	w.place = w.old.AccessToken
	w.before = func(r *http.Request) (faulty bool) {
		w.after = nil
		switch tr := w.next(operation(r)); tr.name {
		case "":
		case crashBefore:
			panic(errCrash)
		case crashAfter:
			w.after = func(*http.Request) { panic(errCrash) }
		case canceled:
			w.cancel()
		case anotherRun:
		default:
			a.Inject(tr.fault)
			return true
		}
		return false
	}
	return w
}

// operation is a request's method and path, with no ID.
func operation(r *http.Request) string {
	path := r.URL.Path
	if id, ok := strings.CutPrefix(path, "/tokens/"); ok && id != "self" {
		path = "/tokens/ID"
	}
	return r.Method + " " + path
}

// next counts an operation and returns its trouble.
func (w *world) next(op string) (tr trouble) {
	nth := 1
	for _, earlier := range w.ops {
		if earlier == op {
			nth++
		}
	}
	for _, t := range w.troubles {
		if t.on == "" && t.op == len(w.ops) || t.on == op && t.nth == nth {
			tr = t
		}
	}
	fmt.Fprintf(&w.log, "%3d %s: %s\n", len(w.ops), op, tr.name)
	if w.look(); w.violation == nil && w.always {
		w.violation = w.broken()
	}
	w.ops = append(w.ops, op)
	if tr.name == anotherRun {
		w.race()
	}
	return tr
}

// race rotates the token from another machine, which has a journal of its own.
func (w *world) race() {
	w.raced = true
	before, after := w.before, w.after
	w.before, w.after = nil, nil
	defer func() { w.before, w.after = before, after }()
	admin, err := w.connect(w.admin.AccessToken)
	if err != nil {
		panic(err)
	}
	r := &rotate.Rotation{
		Client: admin, TokenID: w.old.ID, Connect: w.connect, Journal: rotate.MemoryJournal(), Patience: w.patience,
		Handover: rotate.Handover{Put: func(_ context.Context, token *fastly.TokenCreatedResponse) error {
			w.place = token.AccessToken
			return nil
		}},
	}
	if w.get {
		r.Handover.Get = func(context.Context) (fastly.Secret, error) { return w.place, nil }
	}
	result, err := r.Run(context.Background())
	fmt.Fprintf(&w.log, "    another run = %v: %v\n", result.State, err)
	w.look()
}

// do is an operation that is no request.
func (w *world) do(op string, f func()) error {
	failure := errors.New("no such luck")
	switch w.next(op).name {
	case crashBefore:
		panic(errCrash)
	case crashAfter:
		f()
		panic(errCrash)
	case failBefore:
		return failure
	case failAfter:
		f()
		if op == "put" {
			return fmt.Errorf("%w: %w", rotate.ErrMaybeHandedOver, failure)
		}
		return failure
	case canceled:
		w.cancel()
	}
	f()
	return nil
}

func (w *world) Lock(context.Context) ([]byte, error) {
	return slices.Clone(w.record), w.do("lock", func() {})
}

func (w *world) Save(ctx context.Context, record []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.do("save", func() { w.record = slices.Clone(record) })
}

func (w *world) Unlock() error { return w.do("unlock", func() {}) }

func (w *world) put(_ context.Context, token *fastly.TokenCreatedResponse) error {
	return w.do("put", func() { w.place = token.AccessToken })
}

func (w *world) getPlace(context.Context) (fastly.Secret, error) {
	return w.place, w.do("get", func() {})
}

// rotate does one run. A crash is errCrash.
func (w *world) rotate(t *testing.T) (rotate.Result, error) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.cancel = cancel
	return w.recovering(func() (rotate.Result, error) { return w.rotation(t).Run(ctx) })
}

func (w *world) recovering(run func() (rotate.Result, error)) (result rotate.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			if p != errCrash { //nolint:errorlint // it is that one, or a real panic
				panic(p)
			}
			result, err = rotate.Result{}, errCrash
		}
		fmt.Fprintf(&w.log, "    = %v: %v\n", result.State, err)
	}()
	return run()
}

func (w *world) rotation(t *testing.T) *rotate.Rotation {
	r := &rotate.Rotation{
		Client: w.client(t, w.admin.AccessToken), TokenID: w.old.ID, Connect: w.connect,
		Handover: rotate.Handover{Put: w.put}, Grace: w.grace, NoWait: w.noWait, Journal: w, Patience: w.patience,
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	if w.get {
		r.Handover.Get = w.getPlace
	}
	if w.own {
		r.TokenID = ""
		r.Client = w.client(t, w.old.AccessToken)
		if !w.get {
			r.Client = w.client(t, w.place) // or else a dead key is the end
		}
	}
	if w.login {
		r.Login = func(context.Context) (rotate.Login, error) {
			return rotate.Login{Username: w.user.Login, Password: fastly.Secret(w.user.Password)}, nil
		}
	}
	return r
}

// look reads the server's tokens, for the methods that follow.
func (w *world) look() {
	w.tokens = w.alive(w.user.ID)
	w.tokens = slices.DeleteFunc(w.tokens, func(t fastly.TokenCreatedResponse) bool { return t.ID == w.admin.ID })
}

func (w *world) works(id string) bool { return w.token(id) != nil }

func (w *world) token(id string) *fastly.TokenCreatedResponse {
	for i := range w.tokens {
		if w.tokens[i].ID == id {
			return &w.tokens[i]
		}
	}
	return nil
}

// rotated reports whether the old token is replaced and nothing is left to do.
func (w *world) rotated() bool {
	return w.record == nil && len(w.tokens) == 1 && !w.works(w.old.ID) && w.tokens[0].AccessToken == w.place
}

// broken says what is wrong with the world, nil if nothing is.
func (w *world) broken() error {
	if !slices.ContainsFunc(w.tokens, func(t fastly.TokenCreatedResponse) bool { return t.AccessToken == w.place }) {
		return errors.New("the destination of the handover holds no token that works")
	}
	secrets := []string{w.user.Password, w.admin.AccessToken.Reveal()}
	for _, t := range w.tokens {
		secrets = append(secrets, t.AccessToken.Reveal())
	}
	for _, secret := range secrets {
		if strings.Contains(string(w.record), secret) || strings.Contains(w.log.String(), secret) {
			return errors.New("the journal, an error or the log shows a secret")
		}
	}
	for _, t := range w.tokens {
		if !slices.Equal(t.Scopes, w.old.Scopes) || !slices.Equal(t.Services, w.old.Services) || t.ExpiresAt.After(t.CreatedAt.Add(lifetime+time.Second)) {
			return fmt.Errorf("token %s is wider than the old one", t.ID)
		}
	}
	return nil
}

// told reports whether all that another run has made of the world is told: if it
// was too late to see it before the handover, a token stays that an error names.
func (w *world) told(r rotate.Result) bool {
	text := w.log.String() // and errors
	if !w.raced || !strings.Contains(text, "another one has rotated it") && !strings.Contains(text, "another run may have") {
		return false
	}
	if strings.Contains(text, "others could not be listed") {
		return true
	}
	for _, t := range w.tokens {
		if w.lag > 0 && t.CreatedAt.Add(w.lag).After(w.now()) {
			continue // nobody can name it yet
		}
		named := t.Name == r.Name && strings.Contains(text, r.Name)
		if t.AccessToken != w.place && !named && !strings.Contains(text, "token "+t.ID+" is") {
			return false
		}
	}
	return true
}

// silent reports whether an error says that the old token is gone, after another run and perhaps
// a crash, and nothing of the one in use, the only one there is.
func (w *world) silent(err error) bool {
	text := fmt.Sprint(err)
	gone := errors.Is(err, fastly.ErrUnauthorized) || errors.Is(err, fastly.ErrNotFound) || strings.Contains(text, "no longer exists")
	named := strings.Contains(text, "token "+w.tokens[0].ID) || strings.Contains(text, "the new token") // that one is not gone
	return w.raced && w.get && gone && !named && !slices.ContainsFunc(w.troubles, func(t trouble) bool {
		return !slices.Contains([]string{crashBefore, crashAfter, anotherRun}, t.name)
	})
}

// untrue says what is wrong with a result, nil if nothing is.
func (w *world) untrue(r rotate.Result, err error) error {
	finished := r.State == rotate.StateDone && err == nil
	if w.raced && !finished {
		return nil // it may not know yet
	}
	for _, t := range w.tokens {
		known := t.ID == w.old.ID || t.ID == r.New.ID || slices.Contains(r.Left, t.ID) || w.raced && t.AccessToken == w.place
		named := t.Name == r.Name && (r.State == rotate.StateCreating || r.State == rotate.StateHanding || r.Unknown)
		if r.State != rotate.StateUnknown && !known && !named {
			return fmt.Errorf("token %s works, and %v does not say so", t.ID, r.State)
		}
	}
	for _, id := range r.Revoked {
		if w.works(id) {
			return fmt.Errorf("token %s works, and is said to be revoked", id)
		}
	}
	inPlace := func(id string) bool {
		t := w.token(id)
		return t != nil && t.AccessToken == w.place
	}
	switch {
	case r.State == rotate.StateUnchanged && len(r.Left) > 0,
		r.State == rotate.StateUnchanged && w.works(w.old.ID) && len(w.tokens) > 1,
		r.State == rotate.StateHanding && (!w.works(w.old.ID) || !w.works(r.New.ID)),
		r.State == rotate.StateHandedOver && !inPlace(r.New.ID),
		r.State == rotate.StateDone && (!inPlace(r.New.ID) || len(w.tokens) != 1 || len(r.Left) > 0):
		return fmt.Errorf("%v, old %s, new %s, left %s is not true of %d tokens", r.State, r.Old.ID, r.New.ID, r.Left, len(w.tokens))
	}
	return nil
}

// future is what the next runs depend on, the same for worlds that differ in
// IDs only.
func (w *world) future() string {
	var r struct {
		State, Name string
		New         struct{ ID string }
		Kept        []string
		Own         bool
		Lost        int
		OldRevoked  bool      `json:"old_revoked"`
		RevokeAt    time.Time `json:"revoke_at"`
	}
	if len(w.record) > 0 {
		if err := json.Unmarshal(w.record, &r); err != nil {
			panic(err)
		}
	}
	text := fmt.Sprintf("%t %s %t %t %t %d %d", w.raced, r.State, r.Own, r.OldRevoked, r.RevokeAt.After(time.Now()), len(r.Kept), r.Lost)
	for _, t := range w.Tokens() {
		if w.lag > 0 && t.UserID == w.user.ID && t.CreatedAt.Add(w.lag).After(w.now()) {
			text += fmt.Sprintf("; new %t %t", t.Name == r.Name, t.DeletedAt.IsZero())
		}
		if w.lag > 0 && t.UserID == w.user.ID && !t.DeletedAt.IsZero() && t.DeletedAt.Add(w.lag).After(w.now()) {
			text += fmt.Sprintf("; gone %t", t.Name == r.Name)
		}
	}
	for _, t := range w.tokens {
		text += fmt.Sprintf("; %t %t %t %t %t", t.ID == w.old.ID, t.Name == r.Name, t.ID == r.New.ID,
			slices.Contains(r.Kept, t.ID), t.AccessToken == w.place)
	}
	return text
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// count returns how many operations of a name there were.
func (w *world) count(op string) int {
	n := 0
	for _, o := range w.ops {
		if o == op {
			n++
		}
	}
	return n
}
