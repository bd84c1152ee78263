// Package benchkit has what the benchmarks compare and what they talk to: a
// floor of bare net/http and encoding/json, and a server that answers as the
// Fastly API does.
package benchkit

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
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

// UserAgent is the library's own, so that both sides send the same bytes.
const UserAgent = "fastly-tokens-go/0.1.0"

// Server answers each of the API's operations with fixed bytes: a list comes
// chunked, without a Content-Length, and gzip-compressed if the client takes
// it and Gzip is set.
type Server struct {
	*httptest.Server
	// Connections counts those that were opened.
	Connections atomic.Int64
}

// Config says what the server answers.
type Config struct {
	Tokens  int           // in the list
	Gzip    bool          // compress lists
	Latency time.Duration // before each answer
}

// NewServer starts a server on a loopback port.
func NewServer(c Config) *Server {
	s := &Server{Server: httptest.NewUnstartedServer(Handler(c))}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.Connections.Add(1)
		}
	}
	s.Start()
	return s
}

// Handler is what such a server answers.
func Handler(c Config) http.Handler {
	list := listJSON(c.Tokens)
	if c.Gzip {
		list = zip(list)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The body of a request is read, as a server that uses it would.
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		time.Sleep(c.Latency)
		h := w.Header()
		h.Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodDelete:
			h.Set("Fastly-RateLimit-Remaining", "955")
			h.Set("Fastly-RateLimit-Reset", "1924992000")
			w.WriteHeader(http.StatusNoContent)
		case r.Method == http.MethodPost:
			h.Set("Fastly-RateLimit-Remaining", "955")
			h.Set("Fastly-RateLimit-Reset", "1924992000")
			_, _ = io.WriteString(w, createdJSON)
		case strings.HasPrefix(r.URL.Path, "/tokens/"): // else a list
			_, _ = io.WriteString(w, tokenJSON(1))
		default:
			h.Set("Transfer-Encoding", "chunked") // short ones, too
			if c.Gzip {
				h.Set("Content-Encoding", "gzip")
			}
			_, _ = w.Write(list)
		}
	})
}

const createdJSON = `{"id":"5Yo3XXrcQmM7CHUEKdLlkX","name":"deploy","user_id":"4PpIxxxxxxxxxxxxxxxxxx","customer_id":"x4xCwxxJxGCx123Rx5xTxx","service_id":null,"expires_at":"2030-01-02T02:04:05Z","created_at":"2026-01-02T02:04:05Z","updated_at":"2026-01-02T02:04:05Z","scope":"purge_all purge_select","services":["SU1Z0isxPaozGVKXdv0eY","SU1Z0isxPaozGVKXdv0eZ"],"access_token":"madeup0123456789abcdefghijklmnop"}`

// tokenJSON is about 500 bytes, as the API's own are. Users, services and user
// agents repeat, as they do in an account.
func tokenJSON(i int) string {
	return fmt.Sprintf(`{"id":"%022d","user_id":"4PpIxxxxxxxxxxxxxxxx%02d","customer_id":"x4xCwxxJxGCx123Rx5xTxx","name":"ci token %d","last_used_at":"2026-10-%02dT09:10:11Z","created_at":"2025-01-02T03:04:05Z","expires_at":"2027-01-02T03:04:05Z","ip":"203.0.113.%d","user_agent":"deploy-tool/1.%d (linux; amd64)","sudo_expires_at":null,"scope":"purge_all purge_select","scopes":["purge_all","purge_select"],"services":["SU1Z0isxPaozGVKXdv0e%02d","SU1Z0isxPaozGVKXdv1e%02d"],"service_id":null}`,
		i, i%20, i, i%28+1, i%250, i%7, i%20, i%20)
}

func listJSON(n int) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(tokenJSON(i))
	}
	b.WriteByte(']')
	return b.Bytes()
}

func zip(plain []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(plain); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// ID is that of a token.
const ID = "5Yo3XXrcQmM7CHUEKdLlkX"

// IDs are those of n tokens.
func IDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%022d", i)
	}
	return ids
}

// Request is the create that both sides send.
var Request = fastly.CreateTokenRequest{
	Name:      "deploy",
	Scopes:    fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect},
	Services:  []string{"SU1Z0isxPaozGVKXdv0eY", "SU1Z0isxPaozGVKXdv0eZ"},
	ExpiresAt: time.Date(2030, 1, 2, 2, 4, 5, 0, time.UTC),
	Username:  "ops@example.com",
	Password:  "made-up password",
}

// FloorToken has the fields of a TokenResponse as one would write them by hand.
type FloorToken struct {
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

// Floor does what the library does with bare net/http and encoding/json: no
// retries, no checks, no bounds.
type Floor struct {
	URL  string
	HTTP *http.Client
}

// NewFloor returns a floor that keeps its connections.
func NewFloor(baseURL string) *Floor {
	return &Floor{URL: baseURL, HTTP: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// Get asks for the token at path.
func (f *Floor) Get(ctx context.Context, path string) error {
	var t FloorToken
	return f.do(ctx, http.MethodGet, path, "", nil, &t)
}

// List asks for the tokens at path.
func (f *Floor) List(ctx context.Context, path string) error {
	var list []FloorToken
	return f.do(ctx, http.MethodGet, path, "", nil, &list)
}

// Revoke revokes the token at path.
func (f *Floor) Revoke(ctx context.Context, path string) error {
	return f.do(ctx, http.MethodDelete, path, "", nil, nil)
}

// BulkRevoke revokes tokens by their IDs.
func (f *Floor) BulkRevoke(ctx context.Context, ids []string) error {
	type item struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	}
	var list struct {
		Data []item `json:"data"`
	}
	for _, id := range ids {
		list.Data = append(list.Data, item{"token", id})
	}
	body, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return f.do(ctx, http.MethodDelete, "/tokens", bulk, bytes.NewReader(body), nil)
}

const bulk = "application/vnd.api+json; ext=bulk"

// Create sends [Request].
func (f *Floor) Create(ctx context.Context) error {
	r := &Request
	form := url.Values{
		"name":       {r.Name},
		"scope":      {r.Scopes.String()},
		"services[]": r.Services,
		"expires_at": {r.ExpiresAt.Format(time.RFC3339)},
		"username":   {r.Username},
		"password":   {r.Password.Reveal()},
	}
	var t FloorToken
	return f.do(ctx, http.MethodPost, "/tokens", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), &t)
}

// do decodes the answer into into, unless that is nil.
func (f *Floor) do(ctx context.Context, method, path, contentType string, body io.Reader, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, f.URL+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Fastly-Key", Key)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", UserAgent)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if contentType == bulk {
		req.Header.Set("Accept", bulk)
	}
	resp, err := f.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			return err
		}
	}
	// A body that is not read to its end costs its connection.
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
