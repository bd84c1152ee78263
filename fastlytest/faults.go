package fastlytest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// FaultKind says what goes wrong. The empty string means nothing.
type FaultKind string

// The kinds of faults. "Processed" means that the server did what the request
// says: a create has made its token, whether or not the client sees it. Where a
// fault closes the connection, over HTTP/2 it resets the stream.
//
// Go's http.Transport retries a GET by itself when a kept-alive HTTP/1
// connection closes without a response, so a Go client may not notice a single
// CutBefore or CutAfter of a GET.
const (
	// CutBefore closes the connection without a response; not processed.
	CutBefore FaultKind = "cut before"
	// CutAfter closes the connection without a response; processed.
	CutAfter FaultKind = "cut after"
	// CutMiddle sends the right status and headers and the first bytes of the
	// body ([Fault].Keep), and closes the connection; processed. A response
	// without a body becomes a 200 that promises one.
	CutMiddle FaultKind = "cut middle"
	// Stall sends nothing until the client disconnects, the server closes, or
	// [Fault].Delay, unless 0, has passed; then it closes the connection; not
	// processed.
	Stall FaultKind = "stall"
	// StallAfter is Stall, but processed.
	StallAfter FaultKind = "stall after"
	// StallMiddle sends what CutMiddle does and stalls; processed.
	StallMiddle FaultKind = "stall middle"
	// Status responds with [Fault].Status, Header and Body; not processed.
	Status FaultKind = "status"
	// StatusAfter is Status, but processed.
	StatusAfter FaultKind = "status after"
	// Garbage responds with a 200 with [Fault].Header and Body, by default the
	// HTML of a captive portal, without the API's own headers; processed.
	Garbage FaultKind = "garbage"
	// Endless responds with a 200 with JSON that never ends: tokens if the
	// response is a list, else an object with one string; processed.
	Endless FaultKind = "endless"
	// Redirect responds with [Fault].Status, 307 if 0, and [Fault].Location,
	// without the API's own headers; not processed.
	Redirect FaultKind = "redirect"
	// Delay responds as usual, but processes the request only after
	// [Fault].Delay, and not at all if the client has disconnected by then.
	Delay FaultKind = "delay"
)

// Fault is something that goes wrong with some requests. [Server.Inject] adds
// one.
//
// With Foreign, a response is not the API's, but that of something between it and
// the client. With Status that answered in the API's place; with StatusAfter it
// let the request through and replaced the response:
//
//	{Kind: Status, Foreign: true, Status: 404, Body: "<html>…<center>nginx</center>…</html>"}
//	{Kind: Status, Foreign: true, Status: 404, Body: "default backend - 404"} // of an ingress
//	{Kind: Status, Foreign: true, Status: 403, Body: `{"message":"Forbidden"}`} // of a gateway
//	{Kind: StatusAfter, Foreign: true, Status: 403} // of a firewall, empty
//	{Kind: Garbage} // a 200 of a captive portal
type Fault struct {
	Kind FaultKind
	// Times is the number of requests that it affects; 0 means 1, a negative
	// number means no limit.
	Times int
	// Every skips requests: 3 affects every third matching request. 0 and 1
	// affect each.
	Every int
	// Method limits it to requests with this method. Empty means any.
	Method string
	// Path limits it to a path, compared as sent. With a * at the end, as in
	// "/tokens/*", it is a prefix. Empty means any.
	Path string
	// Foreign makes the response of Status and StatusAfter one without the API's
	// headers, which is not compressed and has no other body than Body. Those of
	// Garbage and Redirect are always so.
	Foreign bool
	// Status is the status code of Status and StatusAfter, 503 if 0, and of
	// Redirect, 307 if 0.
	Status int
	// Header is added to the response of Status, StatusAfter, Garbage and
	// Redirect, and replaces the API's own headers; a name without values
	// removes one. Without a Content-Type, one that fits the body is set. With a
	// Content-Encoding, the body is sent as it is.
	Header http.Header
	// Body is the body of Status, StatusAfter, Garbage and Redirect. If empty,
	// Status and StatusAfter, unless Foreign, send the API's own for the status,
	// and a 429 its rate limit headers.
	Body string
	// Location is the target of Redirect.
	Location string
	// Delay is the delay of the kind Delay, and the longest time that the
	// stalling kinds stall. It is real time.
	Delay time.Duration
	// Keep is how many bytes of the body CutMiddle and StallMiddle send; 0 means
	// half of them. They are bytes on the wire: of the compressed body if the
	// client asked for compression. The client is told to expect more even if
	// these are all.
	Keep int
}

// Inject adds a fault. If there are several, the first one added that matches a
// request and is due affects it; later ones don't count that request. A fault
// that has affected Times requests is removed. Inject panics if the fault is
// invalid: an unknown Kind, a Status that no response can have, a Redirect
// without Location, or a negative Every, Delay or Keep.
func (s *Server) Inject(f Fault) {
	if reason := f.unusable(); reason != "" {
		panic("fastlytest: Inject: " + reason)
	}
	f.Header = f.Header.Clone()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &pending{Fault: f})
}

// ClearFaults removes all faults. Requests that one has already affected, such as
// stalled ones, stay as they are.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

func (f *Fault) unusable() (reason string) {
	switch f.Kind {
	case CutBefore, CutAfter, CutMiddle, Stall, StallAfter, StallMiddle,
		Status, StatusAfter, Garbage, Endless, Redirect, Delay:
	default:
		return "unknown Kind " + string(f.Kind)
	}
	switch {
	case f.Status != 0 && (f.Status < 200 || f.Status > 999):
		return "Status is not that of a response"
	case f.Kind == Redirect && f.Location == "":
		return "Redirect without Location"
	case f.Every < 0 || f.Delay < 0 || f.Keep < 0:
		return "Every, Delay or Keep below 0"
	}
	return ""
}

// pending is a fault that can still happen.
type pending struct {
	Fault
	seen  int // matching requests
	fired int
}

type faults []*pending

// next counts a request and returns the fault that affects it, with an empty Kind
// if none does.
func (fs *faults) next(method, path string) Fault {
	for i, p := range *fs {
		if !p.matches(method, path) {
			continue
		}
		p.seen++
		if p.seen%max(p.Every, 1) != 0 {
			continue
		}
		p.fired++
		if p.Times >= 0 && p.fired >= max(p.Times, 1) {
			*fs = slices.Delete(*fs, i, i+1)
		}
		return p.Fault
	}
	return Fault{}
}

func (f *Fault) matches(method, path string) bool {
	if f.Method != "" && f.Method != method {
		return false
	}
	if prefix, ok := strings.CutSuffix(f.Path, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return f.Path == "" || f.Path == path
}

// captivePortal is what a network that requires a login sends for every request.
const captivePortal = `<!DOCTYPE html>
<html><head><title>Welcome to the network</title></head>
<body><h1>Please sign in to use this network</h1></body></html>
`

// response is what Status, StatusAfter, Garbage and Redirect send.
func (f *Fault) response(now time.Time) response {
	resp := response{status: f.Status, header: http.Header{}, body: []byte(f.Body)}
	switch f.Kind {
	case Garbage:
		resp.notAPI = true
		resp.status = http.StatusOK
		if f.Body == "" {
			resp.body = []byte(captivePortal)
		}
	case Redirect:
		resp.notAPI = true
		if f.Status == 0 {
			resp.status = http.StatusTemporaryRedirect
		}
		resp.header.Set("Location", f.Location)
	default:
		if f.Status == 0 {
			resp.status = http.StatusServiceUnavailable
		}
		resp.notAPI = f.Foreign
		if f.Foreign || f.Body != "" {
			break
		}
		if bodyAllowed(resp.status) {
			resp.body = newProblem(resp.status, "").response().body
		}
		if resp.status == http.StatusTooManyRequests {
			setRateLimit(resp.header, 0, now.Truncate(time.Hour))
		}
	}
	switch {
	case json.Valid(resp.body):
		resp.header.Set("Content-Type", "application/json")
	case len(resp.body) > 0:
		resp.header.Set("Content-Type", http.DetectContentType(resp.body))
	}
	for name, values := range f.Header {
		resp.header[http.CanonicalHeaderKey(name)] = values
	}
	return resp
}

// bodyAllowed reports whether a response with the status can have a body
// (RFC 9110 section 6.4.1).
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}
