package fastlytest

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// FaultKind says what goes wrong. The empty one is nothing.
type FaultKind string

// The kinds of faults. "Processed" means that the server did what it was asked
// to: a create has made its token, whatever the client gets to see. Where a
// fault closes the connection, over HTTP/2 it resets the stream.
//
// Go's http.Transport retries a GET by itself when a kept-alive HTTP/1
// connection closes with no response, so a client in Go may not notice a single
// CutBefore or CutAfter of one.
const (
	// CutBefore closes the connection with no response; not processed.
	CutBefore FaultKind = "cut before"
	// CutAfter closes the connection with no response; processed.
	CutAfter FaultKind = "cut after"
	// CutMiddle sends the right status and headers and the first bytes of the
	// body ([Fault].Keep), and closes the connection; processed. A response
	// that has no body is made a 200 that promises one.
	CutMiddle FaultKind = "cut middle"
	// Stall sends nothing until the client leaves, the server closes, or
	// [Fault].Delay, unless 0, has passed; not processed.
	Stall FaultKind = "stall"
	// StallAfter is Stall, but processed.
	StallAfter FaultKind = "stall after"
	// StallMiddle sends what CutMiddle does and stalls; processed.
	StallMiddle FaultKind = "stall middle"
	// Status responds with [Fault].Status, Header and Body; not processed.
	Status FaultKind = "status"
	// StatusAfter is Status, but processed.
	StatusAfter FaultKind = "status after"
	// Garbage is a 200 with [Fault].Header and Body, by default the HTML of a
	// captive portal, without the API's own headers; processed.
	Garbage FaultKind = "garbage"
	// Endless is a 200 with JSON that never ends: tokens where the response is
	// a list, else an object with one string; processed.
	Endless FaultKind = "endless"
	// Redirect is [Fault].Status, 307 if 0, with [Fault].Location, without the
	// API's own headers; not processed.
	Redirect FaultKind = "redirect"
	// Delay responds as ever, but processes the request only after
	// [Fault].Delay, and not at all if the client has left by then.
	Delay FaultKind = "delay"
)

// Fault is something that goes wrong with some requests. [Server.Inject] makes
// it happen.
type Fault struct {
	Kind FaultKind
	// Times is how many requests it happens to; 0 is 1, negative is no end.
	Times int
	// Every spares requests: 3 makes it happen to the third matching one, the
	// sixth and so on. 0 and 1 are each.
	Every int
	// Method limits it to requests of a method. Empty is any.
	Method string
	// Path limits it to a path, compared as sent, or to those that begin with
	// what comes before a * at its end, as in "/tokens/*". Empty is any.
	Path string
	// Status is the status code of Status and StatusAfter, 503 if 0, and of
	// Redirect, 307 if 0.
	Status int
	// Header is added to the response of Status, StatusAfter, Garbage and
	// Redirect, and wins over the API's own headers; a name with no values
	// takes one away. A Content-Type that is not in it is made to fit the
	// body. With a Content-Encoding in it the body is sent as it is.
	Header http.Header
	// Body is that of Status, StatusAfter, Garbage and Redirect. If empty,
	// Status and StatusAfter send the API's own for the status, and a 429 its
	// rate limit headers.
	Body string
	// Location is where Redirect leads.
	Location string
	// Delay is that of the kind Delay, and the limit of the stalling ones.
	// It is real time.
	Delay time.Duration
	// Keep is how many bytes of the body CutMiddle and StallMiddle send; 0 is
	// half of them. They are bytes on the wire: of the compressed body if the
	// client asked for one. The client is told that there are more even if
	// those are all.
	Keep int
}

// Inject adds a fault. With several, the first one added that matches a request
// and is due happens to it; those after it neither happen nor count that
// request. A fault that has happened Times times is gone. Inject panics if the
// fault is not usable: an unknown Kind, a Status that no response can have, a
// Redirect without Location, or a negative Every, Delay or Keep.
func (s *Server) Inject(f Fault) {
	if reason := f.unusable(); reason != "" {
		panic("fastlytest: Inject: " + reason)
	}
	f.Header = f.Header.Clone()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &pending{Fault: f})
}

// ClearFaults takes all faults away. Requests that one has already happened to
// stay as they are.
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

// next counts a request and returns the fault that happens to it; none has the
// empty Kind.
func (fs *faults) next(method, path string) Fault {
	for i, p := range *fs {
		if !p.matches(method, path) || !p.due() {
			continue
		}
		if p.fired++; p.Times >= 0 && p.fired >= max(p.Times, 1) {
			*fs = append((*fs)[:i:i], (*fs)[i+1:]...)
		}
		return p.Fault
	}
	return Fault{}
}

// due counts a matching request and reports whether the fault happens to it.
func (p *pending) due() bool {
	p.seen++
	return p.seen%max(p.Every, 1) == 0
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

// captivePortal is what a network that wants a login first says to everything.
const captivePortal = `<!DOCTYPE html>
<html><head><title>Welcome to the network</title></head>
<body><h1>Please sign in to use this network</h1></body></html>
`

// response is what Status, StatusAfter, Garbage and Redirect send.
func (f *Fault) response(now time.Time) response {
	resp := response{status: f.Status, header: http.Header{}, body: []byte(f.Body)}
	switch f.Kind {
	case Garbage:
		resp.foreign = true
		resp.status = http.StatusOK
		if f.Body == "" {
			resp.body = []byte(captivePortal)
		}
	case Redirect:
		resp.foreign = true
		if f.Status == 0 {
			resp.status = http.StatusTemporaryRedirect
		}
		resp.header.Set("Location", f.Location)
	default:
		if f.Status == 0 {
			resp.status = http.StatusServiceUnavailable
		}
		if f.Body != "" {
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
