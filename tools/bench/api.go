package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fastly-tokens/fastly"
)

// Key is a made-up API token.
const Key = "benchmark-key-0123456789abcdefgh"

const (
	someID       = "5Yo3XXrcQmM7CHUEKdLlkX"
	someCustomer = "x4xCwxxJxGCx123Rx5xTxx"
)

// Config says how a server responds.
type Config struct {
	Tokens  int           // length of a list
	Gzip    bool          // compress lists
	Latency time.Duration // before each response
	TLS     bool          // TLS with HTTP/2, else HTTP/1.1 without TLS
}

// Server has a fixed response to each of the API's operations.
type Server struct {
	*httptest.Server
	// Connections counts those that were ever opened.
	Connections atomic.Int64
}

// NewServer starts a server on a loopback port.
func NewServer(c Config) *Server {
	s := &Server{Server: httptest.NewUnstartedServer(Handler(c))}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.Connections.Add(1)
		}
	}
	if c.TLS {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	return s
}

// Handler returns the handler of such a server.
func Handler(c Config) http.Handler {
	list := listJSON(c)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.TLS && r.ProtoMajor != 2 {
			http.Error(w, "want HTTP/2", http.StatusHTTPVersionNotSupported)
			return
		}
		// A server that uses the body of a request reads it.
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		time.Sleep(c.Latency)
		h := w.Header()
		h.Set("Content-Type", "application/json")
		if r.Method != http.MethodGet {
			h.Set("Fastly-RateLimit-Remaining", "955")
			h.Set("Fastly-RateLimit-Reset", "1924992000")
		}
		switch {
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		case r.Method == http.MethodPost:
			_, _ = io.WriteString(w, createdJSON)
		case strings.HasPrefix(r.URL.Path, "/tokens/"):
			_, _ = io.WriteString(w, tokenJSON(1))
		default:
			h.Set("Transfer-Encoding", "chunked") // net/http gives a short body a Content-Length, the API doesn't
			if c.Gzip {
				h.Set("Content-Encoding", "gzip")
			}
			_, _ = w.Write(list)
		}
	})
}

const createdJSON = `{"id":"5Yo3XXrcQmM7CHUEKdLlkX","name":"deploy","user_id":"4PpIxxxxxxxxxxxxxxxxxx","customer_id":"x4xCwxxJxGCx123Rx5xTxx","service_id":null,"expires_at":"2030-01-02T02:04:05Z","created_at":"2026-01-02T02:04:05Z","updated_at":"2026-01-02T02:04:05Z","scope":"purge_all purge_select","services":["SU1Z0isxPaozGVKXdv0eY","SU1Z0isxPaozGVKXdv0eZ"],"access_token":"madeup0123456789abcdefghijklmnop"}`

// tokenJSON is about 500 bytes long, like the API's. Users, services and user
// agents recur, as they do in an account.
func tokenJSON(i int) string {
	return fmt.Sprintf(`{"id":"%022d","user_id":"4PpIxxxxxxxxxxxxxxxx%02d","customer_id":"x4xCwxxJxGCx123Rx5xTxx","name":"ci token %d","last_used_at":"2026-10-%02dT09:10:11Z","created_at":"2025-01-02T03:04:05Z","expires_at":"2027-01-02T03:04:05Z","ip":"203.0.113.%d","user_agent":"deploy-tool/1.%d (linux; amd64)","sudo_expires_at":null,"scope":"purge_all purge_select","scopes":["purge_all","purge_select"],"services":["SU1Z0isxPaozGVKXdv0e%02d","SU1Z0isxPaozGVKXdv1e%02d"],"service_id":null}`,
		i, i%20, i, i%28+1, i%250, i%7, i%20, i%20)
}

func listJSON(c Config) []byte {
	tokens := make([]string, c.Tokens)
	for i := range tokens {
		tokens[i] = tokenJSON(i)
	}
	text := "[" + strings.Join(tokens, ",") + "]"
	if !c.Gzip {
		return []byte(text)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text) // into memory, which does not fail
	_ = w.Close()
	return b.Bytes()
}

// Operation is a call of the library, and what its floor needs to do the same.
type Operation struct {
	method, path string
	library      func(context.Context, *fastly.TokensService) error
	body         func() (io.Reader, error) // nil: none
	result       func() any                // where the floor decodes to; nil: nothing is decoded
}

// Operations has the library's methods by their names.
var Operations = map[string]Operation{
	"BulkRevokeTokens": {http.MethodDelete, "/tokens", func(ctx context.Context, s *fastly.TokensService) error {
		return s.BulkRevokeTokens(ctx, revoked)
	}, bulkBody, nil},
	"CreateToken": {http.MethodPost, "/tokens", func(ctx context.Context, s *fastly.TokensService) error {
		_, err := s.CreateToken(ctx, &created)
		return err
	}, createBody, oneToken},
	"GetToken": {http.MethodGet, "/tokens/" + someID, func(ctx context.Context, s *fastly.TokensService) error {
		_, err := s.GetToken(ctx, someID)
		return err
	}, nil, oneToken},
	"GetTokenCurrent": {http.MethodGet, "/tokens/self", func(ctx context.Context, s *fastly.TokensService) error {
		_, err := s.GetTokenCurrent(ctx)
		return err
	}, nil, oneToken},
	"ListTokensCustomer": {http.MethodGet, "/customer/" + someCustomer + "/tokens", func(ctx context.Context, s *fastly.TokensService) error {
		_, err := s.ListTokensCustomer(ctx, someCustomer)
		return err
	}, nil, tokenList},
	"ListTokensUser": {http.MethodGet, "/tokens", func(ctx context.Context, s *fastly.TokensService) error {
		_, err := s.ListTokensUser(ctx)
		return err
	}, nil, tokenList},
	"RevokeToken": {http.MethodDelete, "/tokens/" + someID, func(ctx context.Context, s *fastly.TokensService) error {
		return s.RevokeToken(ctx, someID)
	}, nil, nil},
	"RevokeTokenCurrent": {http.MethodDelete, "/tokens/self", func(ctx context.Context, s *fastly.TokensService) error {
		return s.RevokeTokenCurrent(ctx)
	}, nil, nil},
}

// Side is one side of a comparison.
type Side struct {
	// Call calls the operation once. It is safe for concurrent use.
	Call func(context.Context) error
	// CloseIdleConnections ends the side's connections once its calls are over.
	CloseIdleConnections func()
}

// Library returns the operation as a client with default settings performs it.
func Library(baseURL string, op Operation) (Side, error) { return library(baseURL, op) }

func library(baseURL string, op Operation, opts ...fastly.Option) (Side, error) {
	client, err := fastly.NewClient(append([]fastly.Option{fastly.WithAPIKey(Key), fastly.WithBaseURL(baseURL)}, opts...)...)
	if err != nil {
		return Side{}, err
	}
	return Side{
		func(ctx context.Context) error { return op.library(ctx, client.Tokens) },
		client.CloseIdleConnections,
	}, nil
}

// Floor returns the operation as bare net/http and encoding/json perform it:
// without retries, checks or limits. It sends the headers that the library sends.
func Floor(baseURL string, op Operation) (Side, error) {
	header, err := libraryHeader(op)
	if err != nil {
		return Side{}, err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	return Side{
		func(ctx context.Context) error { return op.floor(ctx, client, baseURL, header) },
		client.CloseIdleConnections,
	}, nil
}

func (op Operation) floor(ctx context.Context, client *http.Client, baseURL string, header http.Header) error {
	var body io.Reader
	if op.body != nil {
		var err error
		if body, err = op.body(); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, op.method, baseURL+op.path, body)
	if err != nil {
		return err
	}
	for name := range header {
		req.Header.Set(name, header.Get(name))
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if op.result != nil {
		if err := json.NewDecoder(resp.Body).Decode(op.result()); err != nil {
			return err
		}
	}
	// A connection is reused only if the body was read to its end.
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// libraryHeader records the header of a call by the library.
func libraryHeader(op Operation) (http.Header, error) {
	var r recorder
	side, err := library(fastly.DefaultBaseURL, op,
		fastly.WithHTTPClient(&http.Client{Transport: &r}),
		fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 1}))
	if err != nil {
		return nil, err
	}
	if err = side.Call(context.Background()); r.header == nil {
		return nil, err
	}
	return r.header, nil
}

// recorder keeps the header of a request.
type recorder struct{ header http.Header }

// RoundTrip implements [http.RoundTripper]. It sends nothing.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	r.header = req.Header.Clone()
	return nil, errors.New("recorded, not sent")
}

var created = fastly.CreateTokenRequest{
	Name:      "deploy",
	Scopes:    fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect},
	Services:  []string{"SU1Z0isxPaozGVKXdv0eY", "SU1Z0isxPaozGVKXdv0eZ"},
	ExpiresAt: time.Date(2030, 1, 2, 2, 4, 5, 0, time.UTC),
	Username:  "ops@example.com",
	Password:  "made-up password",
}

func createBody() (io.Reader, error) {
	return strings.NewReader(url.Values{
		"name":       {created.Name},
		"scope":      {created.Scopes.String()},
		"services[]": created.Services,
		"expires_at": {created.ExpiresAt.Format(time.RFC3339)},
		"username":   {created.Username},
		"password":   {created.Password.Reveal()},
	}.Encode()), nil
}

var revoked = func() []string {
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprintf("%022d", i)
	}
	return ids
}()

func bulkBody() (io.Reader, error) {
	type item struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	}
	var list struct {
		Data []item `json:"data"`
	}
	for _, id := range revoked {
		list.Data = append(list.Data, item{"token", id})
	}
	text, err := json.Marshal(list)
	return bytes.NewReader(text), err
}

// token has the fields of a TokenResponse as a program without the library
// would declare them.
type token struct {
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	UserID        string     `json:"user_id"`
	CustomerID    string     `json:"customer_id"`
	Scope         string     `json:"scope"`
	Services      []string   `json:"services"`
	CreatedAt     *time.Time `json:"created_at"`
	UpdatedAt     *time.Time `json:"updated_at"`
	DeletedAt     *time.Time `json:"deleted_at"`
	ExpiresAt     *time.Time `json:"expires_at"`
	LastUsedAt    *time.Time `json:"last_used_at"`
	SudoExpiresAt *time.Time `json:"sudo_expires_at"`
	IP            string     `json:"ip"`
	UserAgent     string     `json:"user_agent"`
	AccessToken   string     `json:"access_token"`
}

func oneToken() any  { return new(token) }
func tokenList() any { return new([]token) }
