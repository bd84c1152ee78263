package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/fastly-tokens/fastly/internal/facts"
)

const (
	maxCounted   = 40  // requests of a run that may count toward the rate limit
	minRemaining = 100 // requests that a run leaves to others
)

// guard is the only way to the API. It refuses what a run must not send, records what
// it sends, and ends the run when a response asks for that.
type guard struct {
	host       string
	probe      *facts.Probe
	base       http.RoundTripper
	private    *private
	fact       facts.Fact // that is being checked
	cleaning   bool       // tokens are being revoked, which goes on after a stop
	stopped    string     // why the run has ended
	counted    int
	lost       int // creates without a response, each of which may have made a token
	transcript strings.Builder
}

// check checks a fact, unless the run has ended.
func (g *guard) check(ctx context.Context, f facts.Fact) (facts.Verdict, string) {
	g.fact = f
	verdict, reason := facts.CantTell, "interrupted"
	if g.stopped == "" && ctx.Err() == nil {
		verdict, reason = f.Run(ctx, g.probe)
	}
	if g.stopped != "" { // perhaps by this check: that says nothing of the fact
		return facts.CantTell, g.stopped
	}
	return verdict, reason
}

// RoundTrip sends a request, if it may be sent.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if reason := g.refuse(req); reason != "" {
		return nil, errors.New(reason)
	}
	if req.Method != http.MethodGet {
		g.counted++
	}
	sent, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	once := req.Clone(req.Context())
	once.Body, once.GetBody = io.NopCloser(bytes.NewReader(sent)), nil // so that nothing is sent twice
	resp, err := g.base.RoundTrip(once)
	var received []byte
	if err == nil {
		received, err = io.ReadAll(io.LimitReader(resp.Body, 16<<20))
		err = cmp.Or(err, resp.Body.Close())
	}
	g.record(req, sent, resp, received)
	if err != nil && req.Method == http.MethodPost {
		g.lost++
	}
	if err != nil {
		return nil, err
	}
	g.stopped = cmp.Or(g.stopped, g.stop(req, resp, received))
	resp.Body = io.NopCloser(bytes.NewReader(received))
	return resp, nil
}

// refuse returns why a request must not be sent, or "".
func (g *guard) refuse(req *http.Request) string {
	writes := req.Method != http.MethodGet
	reserved := 0 // to revoke what there is, and what this request creates
	if !g.cleaning {
		reserved = g.probe.Live() + g.lost
	}
	if req.Method == http.MethodPost {
		reserved++
	}
	switch {
	case req.URL.Host != g.host:
		return "it is for another host"
	case g.stopped != "" && !g.cleaning:
		return g.stopped
	case writes && !g.probe.Write:
		return "it would change something, without --write"
	case writes && g.counted+reserved >= maxCounted:
		return fmt.Sprintf("a run sends at most %d requests that count toward the rate limit", maxCounted)
	}
	return ""
}

// stop returns why the run must end after a response, or "".
func (g *guard) stop(req *http.Request, resp *http.Response, received []byte) string {
	if g.fact.Effect == facts.Harms && !g.cleaning {
		return "" // that is what the check is for
	}
	var said struct{ Code, Msg string }
	_ = json.Unmarshal(received, &said) // an error says nothing
	code := cmp.Or(said.Code, said.Msg)
	remaining, err := strconv.Atoi(resp.Header.Get("Fastly-RateLimit-Remaining"))
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		return "stopped: the API sent a 429"
	case code == "invalid_grant", code == "account_locked", code == "2fa.verify" && req.Header.Get("Fastly-OTP") != "":
		return "stopped: the login was refused with " + code
	case err == nil && remaining < minRemaining:
		return fmt.Sprintf("stopped: fewer than %d requests are left in this hour", minRemaining)
	}
	return ""
}
