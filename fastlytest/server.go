package fastlytest

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastly-tokens/fastly"
)

// Server is an in-memory Fastly Tokens API. [NewServer] makes one; the zero
// value is not usable. Its methods are safe for concurrent use.
type Server struct {
	// URL is the base URL of the API, such as http://127.0.0.1:34567, without a
	// slash at the end. The server speaks HTTP/1 and unencrypted HTTP/2 (RFC 9113
	// section 3.3) there. Do not change it.
	URL string

	opts    options
	offset  atomic.Int64 // total of Advance, in nanoseconds
	http    *httptest.Server
	closing chan struct{}
	once    sync.Once
	// serving is read-locked by every request that is being served: over
	// HTTP/2 those outlive their connection.
	serving sync.RWMutex

	// mu guards what follows. It is never held while waiting or writing.
	mu       sync.Mutex
	state    *state
	faults   faults
	requests []*Request
	owner    *user
	key      fastly.Secret
}

// NewServer starts a server. Call [Server.Close] when done with it. It panics
// if it cannot listen on the loopback interface or an option is invalid.
//
// As with the API, a key alone can't create a token: POST /tokens by key is a
// 403 unless POST /sudo has confirmed that key in the last five minutes. Create
// tokens by user name and password, as in the package example, or add them with
// [Server.AddToken]. [WithoutSudo] switches the check off.
func NewServer(opts ...Option) *Server {
	o := newOptions(opts)
	s := &Server{opts: o, closing: make(chan struct{}), state: newState(o)}
	s.owner = s.state.addUser(User{
		CustomerID: s.state.newID(),
		Login:      "owner@example.com",
		Superuser:  true,
	})
	s.key = s.state.addToken(s.owner, fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{Name: "default"},
	}, s.now()).AccessToken

	s.http = listen(o.listener, http.HandlerFunc(s.serve))
	// net/http would respond to "OPTIONS *" by itself.
	s.http.Config.DisableGeneralOptionsHandler = true
	s.http.Config.Protocols = new(http.Protocols)
	s.http.Config.Protocols.SetHTTP1(true)
	s.http.Config.Protocols.SetUnencryptedHTTP2(true)
	s.http.Start()
	s.URL = s.http.URL
	return s
}

// listen returns a server on l, or on a loopback port if l is nil.
func listen(l net.Listener, h http.Handler) *httptest.Server {
	if l == nil {
		return httptest.NewUnstartedServer(h)
	}
	return &httptest.Server{Listener: l, Config: &http.Server{Handler: h}} // #nosec G112 -- for tests, as httptest's own
}

// Close stops the server immediately: requests being served, even stalled ones,
// lose their connection. When it returns, no goroutine of the server is left.
// Closing again does nothing.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.closing)
		// In this order nothing can start once connections are cut. Close
		// alone would wait for a client that does not read its response.
		_ = s.http.Listener.Close()
		s.http.CloseClientConnections()
	})
	s.http.Close()
	s.serving.Lock()
	defer s.serving.Unlock()
}

// Advance moves the server's clock forward by d, in addition to the progress of
// the clock of [WithClock].
func (s *Server) Advance(d time.Duration) { s.offset.Add(int64(d)) }

// now is the server's time. It calls the user's code, so don't hold mu.
func (s *Server) now() time.Time {
	return s.opts.clock().Add(time.Duration(s.offset.Load())).UTC()
}

// Key returns the API key that [Server.Client] uses: that of the default user's
// first token, of scope global.
func (s *Server) Key() fastly.Secret { return s.key }

// User returns the current state of the default user, a superuser of the default
// customer.
func (s *Server) User() User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owner.User
}

// AddUser adds a user and returns it with all fields set: an empty ID, Login or
// Password is generated, and an empty CustomerID becomes that of the default
// user. It panics if the ID or login is taken, an ID is not 1 to 64 letters and
// digits, or TOTPSecret is not base32.
func (s *Server) AddUser(u User) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.CustomerID == "" {
		u.CustomerID = s.owner.CustomerID
	}
	return s.state.addUser(u).User
}

// AddToken gives the user a token and returns it with all fields set. An empty ID
// or AccessToken is generated, no Scopes means global, and a zero CreatedAt
// becomes the server's time; UserID and CustomerID are those of the user.
// Times are truncated to the second. The token may be expired (ExpiresAt),
// revoked (DeletedAt) or confirmed by POST /sudo (SudoExpiresAt), and the limit
// of 100 active tokens does not apply. AddToken panics if there is no such user,
// the ID or access token is taken, or an ID is not 1 to 64 letters and digits.
//
// With an empty user ID it adds an automation token, which belongs to the customer
// with t.CustomerID, by default that of the default user, and to no user: its JSON
// has no user_id, a superuser can revoke it by its ID, no user's list has it, and it
// creates no tokens.
func (s *Server) AddToken(userID string, t fastly.TokenCreatedResponse) fastly.TokenCreatedResponse {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.state.users[userID]
	if u == nil && userID != "" {
		panic("fastlytest: AddToken: no user " + userID)
	}
	if t.CustomerID == "" {
		t.CustomerID = s.owner.CustomerID
	}
	return s.state.addToken(u, t, now).view()
}

// Tokens returns every token that ever existed, in order of creation: active,
// expired and revoked (DeletedAt is set) ones, with their access tokens. The
// lists that clients get are in another order.
func (s *Server) Tokens() []fastly.TokenCreatedResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]fastly.TokenCreatedResponse, len(s.state.tokens))
	for i, t := range s.state.tokens {
		all[i] = t.view()
	}
	return all
}

// Token returns the token with the ID, even if it is expired or revoked, and
// whether it ever existed.
func (s *Server) Token(id string) (t fastly.TokenCreatedResponse, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.state.byID[id]
	if found == nil {
		return t, false
	}
	return found.view(), true
}

// Client returns a client of the server that uses [Server.Key]. To create tokens,
// the request needs a Username and a Password, or the server [WithoutSudo]. The
// options take precedence, also over the base URL and the authentication. Client
// panics if one is invalid.
func (s *Server) Client(opts ...fastly.Option) *fastly.Client {
	own := fastly.WithBaseURL(s.URL)
	key := fastly.WithAPIKey(s.key.Reveal())
	c, err := fastly.NewClient(append([]fastly.Option{own, key}, opts...)...)
	if err == nil {
		return c
	}
	// A client has one way of authentication, which opts may have set.
	if c, err := fastly.NewClient(append([]fastly.Option{own}, opts...)...); err == nil {
		return c
	}
	panic("fastlytest: Client: " + err.Error())
}
