package fastlytest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
)

// response is what the client gets: a body or, if not nil, a list.
type response struct {
	status int
	header http.Header // replaces what every response has
	body   []byte
	list   []fastly.TokenResponse
	// notAPI is set if it comes from something between the client and the API,
	// such as a captive portal: it has none of the API's headers, is never
	// compressed, and has a Content-Length.
	notAPI bool
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

func jsonResponse(v any) response {
	return response{status: http.StatusOK, header: jsonHeader(), body: mustMarshal(v)}
}

// mustMarshal marshals values for which that never fails.
func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// withBody returns resp, or one with a body that can be truncated if resp has
// none.
func (resp response) withBody() response {
	if resp.list == nil && len(resp.body) == 0 {
		with := jsonResponse(map[string]string{"status": "ok"})
		maps.Copy(with.header, resp.header)
		return with
	}
	return resp
}

// encoded is a response as it is sent.
type encoded struct {
	status int
	header http.Header
	body   []byte
}

// encode completes the response to r, which arrived at the given time.
func (resp response) encode(r *http.Request, arrived, now time.Time) encoded {
	e := encoded{resp.status, http.Header{}, resp.body}
	if resp.list != nil {
		e.body = mustMarshal(listJSON(resp.list))
	}
	if resp.notAPI {
		if bodyAllowed(resp.status) {
			e.header.Set("Content-Length", strconv.Itoa(len(e.body)))
		}
	} else {
		e.header = apiHeader(resp.status, arrived, now)
	}
	e.header.Set("Date", now.Format(http.TimeFormat))
	maps.Copy(e.header, resp.header)
	if !resp.notAPI && len(e.body) > 0 && acceptsGzip(r.Header) && e.header["Content-Encoding"] == nil {
		e.header.Set("Content-Encoding", "gzip")
		e.body = gzipped(e.body)
	}
	return e
}

func (e encoded) write(w http.ResponseWriter) {
	e.writeHeader(w)
	_, _ = w.Write(e.body) // an error means that the client has disconnected
}

// writePart sends the first bytes of the body of a response that promises more:
// keep bytes, or half of them if keep is 0.
func (e encoded) writePart(w http.ResponseWriter, r *http.Request, keep int) {
	if keep == 0 {
		keep = len(e.body) / 2
	}
	if !r.ProtoAtLeast(1, 1) { // nothing else shows that the body is truncated
		e.header.Set("Content-Length", strconv.Itoa(max(len(e.body), keep+1)))
	}
	e.writeHeader(w)
	_, _ = w.Write(e.body[:min(keep, len(e.body))])
	flush(w)
}

// writeEndless sends an endless body: a list of tokens, or an object with one
// string.
func (e encoded) writeEndless(w http.ResponseWriter, list bool, closing <-chan struct{}) {
	start, more := []byte(`{"name":"`), bytes.Repeat([]byte("endless "), 4<<10)
	if list {
		t := mustMarshal(tokenJSON(fastly.TokenResponse{
			ID: random(22, base62), UserID: random(22, base62), CustomerID: random(22, base62), Name: "endless",
			Scopes: fastly.Scopes{fastly.ScopeGlobal},
		}))
		start = append([]byte{'['}, t...)
		more = bytes.Repeat(append([]byte{','}, t...), 1+(32<<10)/len(t))
	}
	e.header.Set("Content-Type", "application/json")
	e.header.Del("Content-Encoding")
	e.writeHeader(w)
	_, err := w.Write(start)
	for err == nil {
		select {
		case <-closing:
			return
		default:
			_, err = w.Write(more)
		}
	}
}

func (e encoded) writeHeader(w http.ResponseWriter) {
	maps.Copy(w.Header(), e.header)
	w.WriteHeader(e.status)
	if len(e.body) > 0 {
		flush(w) // else net/http gives a short body a Content-Length; the API doesn't
	}
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// apiHeader returns the header fields of every response of the API.
func apiHeader(status int, arrived, now time.Time) http.Header {
	took := now.Sub(arrived).Milliseconds()
	h := http.Header{
		"Accept-Ranges":             {"bytes"},
		"Cache-Control":             {"no-store"},
		"Pragma":                    {"no-cache"},
		"Server":                    {"fastly control-gateway"},
		"Status":                    {strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))},
		"Strict-Transport-Security": {"max-age=31536000"},
		"Via":                       {"1.1 varnish, 1.1 varnish"},
		"X-Cache":                   {"MISS, MISS"},
		"X-Cache-Hits":              {"0, 0"},
		"X-Served-By":               {"cache-control-fastlytest-CONTROL, cache-fastlytest-TEST"},
		// When the request arrived, and how many milliseconds it took.
		"X-Timer":                       {fmt.Sprintf("S%d.%06d,VS0,VE%d", arrived.Unix(), arrived.Nanosecond()/1000, took)},
		"X-Envoy-Upstream-Service-Time": {strconv.FormatInt(took, 10)},
	}
	if status != http.StatusNoContent {
		h.Set("Vary", "Accept-Encoding")
	}
	return h
}

// setRateLimit reports how many requests are left in the hour, and when it ends.
func setRateLimit(h http.Header, remaining int, hour time.Time) {
	h.Set("Fastly-RateLimit-Remaining", strconv.Itoa(remaining))
	h.Set("Fastly-RateLimit-Reset", strconv.FormatInt(hour.Add(time.Hour).Unix(), 10))
}

// acceptsGzip reports whether a client asks for gzip by name (RFC 9110 section
// 12.5.3).
func acceptsGzip(h http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		name, weight, weighted := strings.Cut(strings.ReplaceAll(coding, " ", ""), ";q=")
		if strings.EqualFold(name, "gzip") {
			q, err := strconv.ParseFloat(weight, 64)
			return !weighted || err == nil && q > 0
		}
	}
	return false
}

func gzipped(body []byte) []byte {
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	_, _ = zw.Write(body) // into memory, which does not fail
	_ = zw.Close()
	return b.Bytes()
}
