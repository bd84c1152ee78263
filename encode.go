package fastly

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/google/go-querystring/query"

	"github.com/fastly-tokens/fastly/internal/clock"
)

// operation is one call, as its method describes it.
type operation struct {
	kind   kind
	method string
	path   string
	body   []byte              // of a bulk revoke; fmt would print a string that a reader holds
	create *CreateTokenRequest // nil for any other kind
	login  bool                // create authenticates itself
	cred   credential          // of the last attempt
}

var (
	acceptJSON = []string{"application/json"}
	typeForm   = []string{"application/x-www-form-urlencoded"}
	typeBulk   = []string{"application/vnd.api+json; ext=bulk"}
	uncoded    = []string{"identity"} // not compressed
)

// newRequest makes the request of one attempt.
//
// Go 1.26: net/http repeats a request that has GetBody or no body, over HTTP/1 only if no byte of it
// has left, but over HTTP/2 even if it may have been processed. There, a request that changes
// something has a body, if an empty one, and no GetBody: it fails with an error that tells whether
// it was processed. A create without fields has no body, since net/http would send an empty one as
// chunks; only its watch stops a repetition.
func (c *Client) newRequest(ctx context.Context, op *operation, otp Secret) *http.Request {
	u := *c.base
	u.Path, u.RawPath = u.Path+op.path, u.RawPath+op.path
	header, body := http.Header{"Accept": acceptJSON, "User-Agent": c.userAgent}, op.body
	switch op.kind {
	case kindRevokeBulk:
		header["Accept"], header["Content-Type"] = typeBulk, typeBulk
	case kindCreate: // what is left of a compressed response that was cut off can't be read
		header["Content-Type"], header["Accept-Encoding"] = typeForm, uncoded
		body = encodeCreate(op.create, c.seen.clock.Load(), c.now())
	}
	if otp != "" {
		header["Fastly-Otp"] = []string{otp.Reveal()}
	}
	maps.Copy(header, op.cred.header)
	req := (&http.Request{
		Method: op.method, URL: &u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if op.kind == kindRead || len(body) == 0 && (op.kind == kindCreate || c.http1.Load()) {
		return req
	}
	getBody := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.ContentLength = int64(len(body))
	req.Body, _ = getBody()
	if c.http1.Load() {
		req.GetBody = getBody
	}
	return req
}

type createForm struct {
	Name      string   `url:"name,omitempty"`
	Scope     string   `url:"scope,omitempty"`
	Services  []string `url:"services[],omitempty"`
	ExpiresAt string   `url:"expires_at,omitempty"`
	Username  string   `url:"username,omitempty"`
	Password  string   `url:"password,omitempty"`
}

// encodeCreate encodes the form of a create. A lifetime counts by the API's clock.
func encodeCreate(req *CreateTokenRequest, api *clock.Server, now time.Time) []byte {
	form := createForm{
		Name: req.Name, Scope: req.Scopes.String(), Services: req.Services,
		Username: req.Username, Password: req.Password.Reveal(),
	}
	expiresAt := req.ExpiresAt
	if req.Lifetime > 0 {
		expiresAt = api.At(now).Add(req.Lifetime).Add(time.Second - 1)
	}
	if !expiresAt.IsZero() {
		form.ExpiresAt = expiresAt.UTC().Format(time.RFC3339)
	}
	values, _ := query.Values(form) // fails only for what is not a struct
	return []byte(values.Encode())
}

// encodeBulk writes each ID once. IDs are letters and digits, which JSON need not escape.
func encodeBulk(tokenIDs []string) []byte {
	const before, after = `{"type":"token","id":"`, `"},`
	body := make([]byte, 0, 64*(len(tokenIDs)+1))
	body = append(body, `{"data":[`...)
	sent := make(map[string]bool, len(tokenIDs))
	for _, id := range tokenIDs {
		if !sent[id] {
			sent[id] = true
			body = append(append(append(body, before...), id...), after...)
		}
	}
	return append(bytes.TrimSuffix(body, []byte{','}), "]}"...)
}
