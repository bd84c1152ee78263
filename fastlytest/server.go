package fastlytest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastly-tokens/fastly"
)

// maxBody bounds the body of a request; more is answered 413.
const maxBody = 1 << 20

// Option configures a [Server].
type Option func(*options)

type options struct {
	clock   func() time.Time
	perHour int
	latency time.Duration
}

// WithClock sets the clock that dates tokens, expires them and separates the
// hours of the rate limit. It is called from several goroutines at once. The
// default is [time.Now]; nil makes [NewServer] panic.
func WithClock(now func() time.Time) Option {
	return func(o *options) { o.clock = now }
}

// WithRateLimit sets how many non-read requests a user may make in each hour of
// the clock. The default is 1000; with 0 each one is refused, and a negative
// number makes [NewServer] panic.
func WithRateLimit(perHour int) Option {
	return func(o *options) { o.perHour = perHour }
}

// WithLatency makes each answer wait for d, in real time, after its request was
// carried out. The default is no wait; a negative d makes [NewServer] panic.
func WithLatency(d time.Duration) Option {
	return func(o *options) { o.latency = d }
}

// Server is an in-memory Fastly Tokens API. [NewServer] makes one; the zero
// value is of no use. Its methods are safe for concurrent use.
type Server struct {
	// URL is the base of the API, such as http://127.0.0.1:34567, with no
	// slash at the end. It is not to be changed.
	URL string

	opts    options
	offset  atomic.Int64 // what Advance added up to, in nanoseconds
	http    *httptest.Server
	closing chan struct{}
	once    sync.Once

	// mu guards what follows. It is never held while waiting or writing.
	mu       sync.Mutex
	state    *state
	faults   faults
	requests []*Request
	owner    *user
	key      fastly.Secret
}

// NewServer starts a server. Call [Server.Close] when done with it. It panics
// if it cannot listen on the loopback interface or an option is unusable.
func NewServer(opts ...Option) *Server {
	o := options{clock: time.Now, perHour: 1000}
	for _, opt := range opts {
		if opt == nil {
			panic("fastlytest: nil Option")
		}
		opt(&o)
	}
	switch {
	case o.clock == nil:
		panic("fastlytest: WithClock(nil)")
	case o.perHour < 0:
		panic("fastlytest: WithRateLimit below 0")
	case o.latency < 0:
		panic("fastlytest: WithLatency below 0")
	}
	s := &Server{opts: o, closing: make(chan struct{}), state: newState(o.perHour)}
	s.owner = s.state.addUser(User{
		CustomerID: randomID(),
		Login:      "owner@example.com",
		Superuser:  true,
	})
	s.key = s.state.addToken(s.owner, fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{Name: "default"},
	}, s.now()).AccessToken

	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	// net/http would answer "OPTIONS *" by itself.
	s.http.Config.DisableGeneralOptionsHandler = true
	s.http.Start()
	s.URL = s.http.URL
	return s
}

// Close stops the server, at once: requests that are being answered, stalled
// ones too, lose their connection. When it returns no goroutine of the server
// is left. Closing again does nothing.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.closing)
		// In this order nothing can start once connections are cut. Close
		// alone would wait for a client that does not read its answer.
		_ = s.http.Listener.Close()
		s.http.CloseClientConnections()
	})
	s.http.Close()
}

// Advance moves the server's clock forward by d, on top of what the clock of
// [WithClock] does.
func (s *Server) Advance(d time.Duration) { s.offset.Add(int64(d)) }

// now is the server's time. It calls code of the user, so not under mu.
func (s *Server) now() time.Time {
	return s.opts.clock().Add(time.Duration(s.offset.Load())).UTC()
}

// Key returns the API key that [Server.Client] uses: that of the default user's
// first token, of global scope.
func (s *Server) Key() fastly.Secret { return s.key }

// User returns the default user, a superuser of the default customer, as it is
// now.
func (s *Server) User() User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owner.User
}

// AddUser adds a user and returns it complete: an empty ID, Login or Password
// is made up, and an empty CustomerID is that of the default user. It panics if
// the ID or login is taken, an ID is not 1 to 64 letters and digits, or
// TOTPSecret is not base32.
func (s *Server) AddUser(u User) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.CustomerID == "" {
		u.CustomerID = s.owner.CustomerID
	}
	return s.state.addUser(u).User
}

// AddToken gives the user a token and returns it complete. An empty ID or
// AccessToken is made up, no Scopes means global, and a zero CreatedAt is the
// server's time; UserID and CustomerID are always those of the user. Times are
// cut to the second. A token may be added expired (ExpiresAt) or revoked
// (DeletedAt), and beyond the 100 active tokens a user can create. AddToken
// panics if there is no such user, the ID or access token is taken, or the ID
// is not 1 to 64 letters and digits.
func (s *Server) AddToken(userID string, t fastly.TokenCreatedResponse) fastly.TokenCreatedResponse {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.state.users[userID]
	if u == nil {
		panic("fastlytest: AddToken: no user " + userID)
	}
	return s.state.addToken(u, t, now).view()
}

// Tokens returns every token there ever was, in order of creation: active,
// expired and revoked (DeletedAt is set) ones, with their access tokens.
func (s *Server) Tokens() []fastly.TokenCreatedResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]fastly.TokenCreatedResponse, len(s.state.tokens))
	for i, t := range s.state.tokens {
		all[i] = t.view()
	}
	return all
}

// Token returns the token with the ID, whatever became of it, and whether there
// ever was one.
func (s *Server) Token(id string) (t fastly.TokenCreatedResponse, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.state.byID[id]
	if found == nil {
		return t, false
	}
	return found.view(), true
}

// serve takes one request all the way: read, recorded, matched with a fault,
// carried out, answered.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	select {
	case <-s.closing:
		panic(http.ErrAbortHandler)
	default:
	}
	arrived := s.now()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	rec, f := s.record(r, body, arrived)

	switch f.Kind {
	case CutBefore:
		panic(http.ErrAbortHandler)
	case Stall:
		s.hang(r.Context(), f.Delay)
	case Delay:
		s.sleep(r.Context(), f.Delay)
	}

	var a answer
	switch f.Kind {
	case Status, Redirect:
		a = f.answer(s.now())
	default:
		a = s.carryOut(r, body, err)
	}

	switch f.Kind {
	case CutAfter:
		panic(http.ErrAbortHandler)
	case StallAfter:
		s.hang(r.Context(), f.Delay)
	case StatusAfter, Garbage:
		a = f.answer(s.now())
	case CutMiddle, StallMiddle:
		a = a.promising()
	case Endless:
		a.status = http.StatusOK
	}
	s.sleep(r.Context(), s.opts.latency)

	// Before the first byte, so that a client that has its answer finds it
	// recorded.
	s.setStatus(rec, a.status)
	switch {
	case f.Kind == CutMiddle:
		a.writePart(w, f.Keep)
		panic(http.ErrAbortHandler)
	case f.Kind == StallMiddle:
		a.writePart(w, f.Keep)
		s.hang(r.Context(), f.Delay)
	case f.Kind == Endless && r.Method != http.MethodHead: // HEAD: writes never block
		a.writeEndless(w, s.closing)
		panic(http.ErrAbortHandler)
	default:
		a.write(w)
	}
}

// carryOut does what the request asks, whose body was read with readErr.
func (s *Server) carryOut(r *http.Request, body []byte, readErr error) answer {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(readErr, &tooLarge) {
		return newProblem(http.StatusRequestEntityTooLarge, "The body is larger than 1 MiB").answer()
	} else if readErr != nil {
		return newProblem(http.StatusBadRequest, "The body could not be read").answer()
	}
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		ip = r.RemoteAddr
	}
	c := &call{
		now:    s.now(),
		method: r.Method,
		path:   r.URL.EscapedPath(),
		header: r.Header,
		body:   body,
		ip:     ip,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.do(c)
}

// sleep waits for d. It ends the request if the client leaves or the server
// closes first.
func (s *Server) sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	case <-s.closing:
		panic(http.ErrAbortHandler)
	}
}

// hang keeps the client waiting, for limit unless that is 0, and then ends the
// request with no further word.
func (s *Server) hang(ctx context.Context, limit time.Duration) {
	if limit > 0 {
		s.sleep(ctx, limit)
	} else {
		select {
		case <-ctx.Done():
		case <-s.closing:
		}
	}
	panic(http.ErrAbortHandler)
}
