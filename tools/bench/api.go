package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
)

const (
	someKey      = "benchmark-key-0123456789abcdefgh"
	someID       = "5Yo3XXrcQmM7CHUEKdLlkX"
	someCustomer = "x4xCwxxJxGCx123Rx5xTxx"
)

// config says how a server responds.
type config struct {
	tokens  int           // length of a list
	gzip    bool          // compress lists
	latency time.Duration // before each response
	tls     bool          // TLS with HTTP/2, else HTTP/1.1 without TLS
}

// newServer starts a server with a fixed response to each of the API's operations.
func newServer(c config) *httptest.Server {
	srv := httptest.NewUnstartedServer(handler(c))
	if c.tls {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Start()
	}
	return srv
}

func handler(c config) http.Handler {
	list := listJSON(c)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.tls && r.ProtoMajor != 2 {
			http.Error(w, "want HTTP/2", http.StatusHTTPVersionNotSupported)
			return
		}
		// A server that uses the body of a request reads it.
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		time.Sleep(c.latency)
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
			if c.gzip {
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

func listJSON(c config) []byte {
	tokens := make([]string, c.tokens)
	for i := range tokens {
		tokens[i] = tokenJSON(i)
	}
	text := "[" + strings.Join(tokens, ",") + "]"
	if !c.gzip {
		return []byte(text)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text) // into memory, which does not fail
	_ = w.Close()
	return b.Bytes()
}

// operation is a call of the library, and what its floor needs to do the same.
type operation struct {
	method, path string
	library      func(context.Context, *fastly.TokensService) error
	contentType  string
	body         func() []byte // nil: none
	result       func() any    // where the floor decodes to; nil: nothing is decoded
}

// operations has the library's methods by their names.
var operations = map[string]operation{
	"BulkRevokeTokens": {http.MethodDelete, "/tokens", func(ctx context.Context, s *fastly.TokensService) error {
		return s.BulkRevokeTokens(ctx, revoked)
	}, "application/vnd.api+json; ext=bulk", bulkBody, nil},
	"CreateToken": {http.MethodPost, "/tokens", func(ctx context.Context, s *fastly.TokensService) error {
		_, err := s.CreateToken(ctx, &created)
		return err
	}, "application/x-www-form-urlencoded", createBody, oneToken},
	"GetToken": {http.MethodGet, "/tokens/" + someID, func(ctx context.Context, s *fastly.TokensService) error {
		_, err := s.GetToken(ctx, someID)
		return err
	}, "", nil, oneToken},
	"GetTokenCurrent": {http.MethodGet, "/tokens/self", func(ctx context.Context, s *fastly.TokensService) error {
		_, err := s.GetTokenCurrent(ctx)
		return err
	}, "", nil, oneToken},
	"ListTokensCustomer": {http.MethodGet, "/customer/" + someCustomer + "/tokens", func(ctx context.Context, s *fastly.TokensService) error {
		_, err := s.ListTokensCustomer(ctx, someCustomer)
		return err
	}, "", nil, tokenList},
	"ListTokensUser": {http.MethodGet, "/tokens", func(ctx context.Context, s *fastly.TokensService) error {
		_, err := s.ListTokensUser(ctx)
		return err
	}, "", nil, tokenList},
	"RevokeToken": {http.MethodDelete, "/tokens/" + someID, func(ctx context.Context, s *fastly.TokensService) error {
		return s.RevokeToken(ctx, someID)
	}, "", nil, nil},
	"RevokeTokenCurrent": {http.MethodDelete, "/tokens/self", func(ctx context.Context, s *fastly.TokensService) error {
		return s.RevokeTokenCurrent(ctx)
	}, "", nil, nil},
}

// side is one side of a comparison. Its call is safe for concurrent use.
type side struct {
	call  func(context.Context) error
	close func() // idle connections
}

// sides returns the operation as bare net/http and encoding/json perform it, and as
// a client with default settings does.
func sides(baseURL, name string) (floor, library side, err error) {
	op := operations[name]
	client, err := fastly.NewClient(fastly.WithAPIKey(someKey), fastly.WithBaseURL(baseURL))
	if err != nil {
		return side{}, side{}, err
	}
	bare := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	floor = side{func(ctx context.Context) error { return op.floor(ctx, bare, baseURL) }, bare.CloseIdleConnections}
	library = side{func(ctx context.Context) error { return op.library(ctx, client.Tokens) }, client.CloseIdleConnections}
	return floor, library, nil
}

// floor performs the operation without retries, checks or limits. It sends what the
// library sends.
func (op operation) floor(ctx context.Context, client *http.Client, baseURL string) error {
	var body io.Reader
	if op.body != nil {
		body = bytes.NewReader(op.body())
	}
	req, err := http.NewRequestWithContext(ctx, op.method, baseURL+op.path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "bare-net-http/1.26 (a floor)")
	if op.contentType != "" {
		req.Header.Set("Content-Type", op.contentType)
	}
	if op.method == http.MethodDelete && op.body != nil {
		req.Header.Set("Accept", op.contentType)
	}
	if op.method == http.MethodPost {
		req.Header.Set("Accept-Encoding", "identity")
	} else { // a login has no key
		req.Header.Set("Fastly-Key", someKey)
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

var created = fastly.CreateTokenRequest{
	Name:      "deploy",
	Scopes:    fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect},
	Services:  []string{"SU1Z0isxPaozGVKXdv0eY", "SU1Z0isxPaozGVKXdv0eZ"},
	ExpiresAt: time.Date(2030, 1, 2, 2, 4, 5, 0, time.UTC),
	Username:  "ops@example.com",
	Password:  "made-up password",
}

func createBody() []byte {
	return []byte(url.Values{
		"name":       {created.Name},
		"scope":      {created.Scopes.String()},
		"services[]": created.Services,
		"expires_at": {created.ExpiresAt.Format(time.RFC3339)},
		"username":   {created.Username},
		"password":   {created.Password.Reveal()},
	}.Encode())
}

var revoked = func() []string {
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprintf("%022d", i)
	}
	return ids
}()

func bulkBody() []byte {
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
	text, _ := json.Marshal(list) // strings, which can't fail
	return text
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
