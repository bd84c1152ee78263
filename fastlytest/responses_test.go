package fastlytest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

func TestStatusFaultsSendTheirResponse(t *testing.T) {
	t.Parallel()
	end := start.Truncate(time.Hour).Add(time.Hour)
	const limited = `{"msg":"You have exceeded your hourly rate limit. Please contact support@fastly.com if you think this is a mistake."}`
	for _, tc := range []struct {
		name   string
		f      Fault
		status int
		header http.Header
		body   string
	}{
		{"default", Fault{}, 503, http.Header{"Content-Type": {"application/json"}, "Status": {"503 Service Unavailable"}}, `{"msg":"Service Unavailable"}`},
		{"500", Fault{Status: 500}, 500, nil, `{"msg":"Internal Server Error"}`},
		{"401", Fault{Status: 401}, 401, nil, `{"msg":"Provided credentials are missing or invalid"}`},
		{"unknown", Fault{Status: 599, Body: "x"}, 599, http.Header{"Status": {"599"}}, "x"},
		{"429", Fault{Status: 429}, 429, http.Header{
			"Fastly-Ratelimit-Remaining": {"0"},
			"Fastly-Ratelimit-Reset":     {strconv.FormatInt(end.Unix(), 10)},
		}, limited},
		{"429 with headers", Fault{Status: 429, Header: http.Header{"fastly-ratelimit-reset": {"7"}, "Retry-After": {"1"}}}, 429, http.Header{
			"Fastly-Ratelimit-Reset": {"7"},
			"Retry-After":            {"1"},
		}, limited},
		{"204", Fault{Status: 204}, 204, http.Header{"Content-Type": nil}, ""},
		{"200", Fault{Status: 200, Body: "[]"}, 200, http.Header{"Content-Type": {"application/json"}}, "[]"},
		{"HTML", Fault{Status: 502, Body: "<html><h1>no</h1>"}, 502, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, "<html><h1>no</h1>"},
		{"typed", Fault{Status: 400, Body: `{"msg":"no"}`, Header: http.Header{"Content-Type": {"text/plain"}}}, 400, http.Header{"Content-Type": {"text/plain"}}, `{"msg":"no"}`},
		{"untyped", Fault{Header: http.Header{"Content-Type": nil}}, 503, http.Header{"Content-Type": nil}, `{"msg":"Service Unavailable"}`},
		{"without headers", Fault{Header: http.Header{"X-Timer": nil, "Server": {"nginx"}}}, 503, http.Header{"X-Timer": nil, "Server": {"nginx"}}, `{"msg":"Service Unavailable"}`},
	} {
		for _, kind := range []FaultKind{Status, StatusAfter} {
			t.Run(tc.name+" "+string(kind), func(t *testing.T) {
				t.Parallel()
				overEach(t, func(t *testing.T, newAPI func(*testing.T, ...Option) *api) {
					a := newAPI(t)
					f := tc.f
					f.Kind = kind
					a.Inject(f)
					r, err := a.create()
					require.NoError(t, err)
					assert.Equal(t, tc.status, r.status)
					assert.Equal(t, tc.body, r.body)
					for name, values := range tc.header {
						assert.Equal(t, values, r.header[name], name)
					}
					assert.Equal(t, kind == StatusAfter, a.created())
					assert.Equal(t, tc.status, a.last().Status)
					assert.Equal(t, kind, a.last().Fault)
				})
			})
		}
	}
}

func TestStatusFaultIsCompressedLikeOtherResponses(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	gzip := header("Accept-Encoding", "gzip")
	a.Inject(Fault{Kind: Status, Body: "text"})
	assert.Equal(t, string(gzipped([]byte("text"))), a.send("GET", "/tokens", gzip).body)
	a.Inject(Fault{Kind: Status, Body: "text", Header: http.Header{"Content-Encoding": {"br"}}})
	assert.Equal(t, "text", a.send("GET", "/tokens", gzip).body, "as it is")
}

func TestGarbageIsA200WithoutTheAPIsHeaders(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, newAPI func(*testing.T, ...Option) *api) {
		a := newAPI(t)
		a.Inject(Fault{Kind: Garbage})
		r, err := a.do("POST", "/tokens", loggedIn(a.User()), header("Accept-Encoding", "gzip"))
		require.NoError(t, err)
		assert.Equal(t, 200, r.status)
		assert.Equal(t, "text/html; charset=utf-8", r.header.Get("Content-Type"))
		assert.Equal(t, captivePortal, r.body)
		assert.Equal(t, int64(len(captivePortal)), r.length)
		assert.Empty(t, r.header.Get("X-Served-By"), "it is not the API's")
		assert.True(t, a.created())

		a.Inject(Fault{Kind: Garbage, Body: "{", Header: http.Header{"Content-Type": {"application/json"}}})
		r, err = a.create()
		require.NoError(t, err)
		assert.Equal(t, "{", r.body)
		assert.Equal(t, []string{"application/json"}, r.header["Content-Type"])
	})
}

func TestForeignResponsesAreNotTheAPIs(t *testing.T) {
	t.Parallel()
	const nginx = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
	for _, tc := range []struct {
		name        string
		f           Fault
		contentType string
	}{
		{"nginx", Fault{Status: 404, Body: nginx}, "text/html; charset=utf-8"},
		{"ingress", Fault{Status: 404, Body: "default backend - 404"}, "text/plain; charset=utf-8"},
		{"gateway", Fault{Status: 403, Body: `{"message":"Forbidden"}`}, "application/json"},
		{"firewall", Fault{Status: 403}, ""},
		{"limiter", Fault{Status: 429}, ""},
		{"named", Fault{Status: 401, Body: "no", Header: http.Header{"Content-Type": {"text/x"}}}, "text/x"},
		{"nothing", Fault{Status: 204}, ""},
	} {
		for _, kind := range []FaultKind{Status, StatusAfter} {
			t.Run(tc.name+" "+string(kind), func(t *testing.T) {
				t.Parallel()
				overEach(t, func(t *testing.T, newAPI func(*testing.T, ...Option) *api) {
					a := newAPI(t)
					f := tc.f
					f.Kind, f.Foreign = kind, true
					a.Inject(f)
					r, err := a.do("POST", "/tokens", loggedIn(a.User()), header("Accept-Encoding", "gzip"))
					require.NoError(t, err)
					assert.Equal(t, tc.f.Status, r.status)
					assert.Equal(t, tc.f.Body, r.body)
					assert.Equal(t, int64(len(tc.f.Body)), r.length)
					assert.Equal(t, tc.contentType, r.header.Get("Content-Type"))
					for name := range r.header {
						assert.Contains(t, []string{"Content-Type", "Content-Length", "Date"}, name)
					}
					assert.Equal(t, kind == StatusAfter, a.created())
				})
			})
		}
	}
}

func TestRedirectFaultIsNotProcessed(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, newAPI func(*testing.T, ...Option) *api) {
		a := newAPI(t)
		a.Inject(Fault{Kind: Redirect, Location: "http://127.0.0.1:1/x"})
		a.Inject(Fault{Kind: Redirect, Location: "/tokens/self", Status: 302, Body: "moved"})
		r, err := a.create()
		require.NoError(t, err)
		assert.Equal(t, 307, r.status)
		assert.Equal(t, "http://127.0.0.1:1/x", r.header.Get("Location"))
		assert.Empty(t, r.header.Get("X-Served-By"))
		assert.Empty(t, r.body)
		r, err = a.create()
		require.NoError(t, err)
		assert.Equal(t, 302, r.status)
		assert.Equal(t, "/tokens/self", r.header.Get("Location"))
		assert.Equal(t, "moved", r.body)
		assert.False(t, a.created())
	})
}

// Without chunks only a Content-Length tells a cut from the end.
func TestCutIsSeenOverHTTP10(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	whole := a.send("GET", "/tokens/self", key(a.Key())).body
	for _, keep := range []int{0, 5, len(whole), 1 << 20} {
		a.Inject(Fault{Kind: CutMiddle, Keep: keep})
		conn, err := net.Dial("tcp", strings.TrimPrefix(a.URL, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "GET /tokens/self HTTP/1.0\r\nUser-Agent: tester/1\r\nFastly-Key: "+a.Key().Reveal()+"\r\n\r\n")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.True(t, strings.HasPrefix(whole, string(got)), "%s", got)
	}
}

// responses is one of each kind, by status.
func responses(a *api) map[string]func(mods ...mod) reply {
	all := endpoints(a)
	send := func(method, path string, own ...mod) func(...mod) reply {
		return func(mods ...mod) reply { return a.send(method, path, append(own, mods...)...) }
	}
	for name, own := range all {
		all[name] = func(mods ...mod) reply { return own(append(mods, key(a.Key()))...) }
	}
	delete(all, "revoke self") // the others are in no order
	expired := a.AddToken(a.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ExpiresAt: start}})
	all["400"] = send("POST", "/tokens")
	all["401"] = send("GET", "/tokens/self")
	all["401, expired"] = send("GET", "/tokens/self", key(expired.AccessToken))
	all["403"] = send("GET", "/tokens", key(a.token(a.User().ID, "purge", "purge_all")))
	all["404"] = send("GET", "/tokens/none", key(a.Key()))
	all["404, path"] = send("GET", "/nothing", key(a.Key()))
	all["405"] = send("PUT", "/tokens", key(a.Key()))
	all["413"] = send("POST", "/tokens", body("", string(make([]byte, maxBody+1))))
	all["415"] = send("POST", "/tokens", body("text/plain", "x"))
	all["422"] = send("POST", "/tokens", loggedIn(a.User(), "expires_at", "x"))
	return all
}

func TestEveryResponseHasTheHeadersOfTheAPI(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, newAPI func(*testing.T, ...Option) *api) {
		a := newAPI(t)
		a.token(a.User().ID, "victim")
		for name, send := range responses(a) {
			r := send()
			want := map[string]string{
				"Cache-Control":             "no-store",
				"Pragma":                    "no-cache",
				"Server":                    "fastly control-gateway",
				"Status":                    fmt.Sprint(r.status, " ", http.StatusText(r.status)),
				"Strict-Transport-Security": "max-age=31536000",
				"Via":                       "1.1 varnish, 1.1 varnish",
				"X-Cache":                   "MISS, MISS",
				"X-Cache-Hits":              "0, 0",
				"Accept-Ranges":             "bytes",
				"Date":                      "Mon, 06 May 2030 07:30:00 GMT",
			}
			for header, value := range want {
				assert.Equal(t, []string{value}, r.header.Values(header), "%s of %s", header, name)
			}
			assert.Regexp(t, `^S1904283000\.000000,VS0,VE\d+$`, r.header.Get("X-Timer"))
			assert.NotEmpty(t, r.header.Get("X-Served-By"))
			assert.Regexp(t, `^\d+$`, r.header.Get("X-Envoy-Upstream-Service-Time"))
			if r.status == 204 {
				assert.Empty(t, r.body)
				assert.Empty(t, r.header.Values("Vary"))
				continue
			}
			assert.Equal(t, []string{"Accept-Encoding"}, r.header.Values("Vary"))
			assert.Equal(t, "application/json", r.header.Get("Content-Type"))
			assert.Equal(t, int64(-1), r.length, "bodies come without Content-Length: %s", name)
			if r.proto == 1 {
				assert.Equal(t, []string{"chunked"}, r.te, name)
			}
		}
	})
}

func TestBodiesAreCompressedForClientsThatAsk(t *testing.T) {
	t.Parallel()
	overEach(t, func(t *testing.T, newAPI func(*testing.T, ...Option) *api) {
		a := newAPI(t)
		a.token(a.User().ID, "victim")
		for name, send := range responses(a) {
			r := send(header("Accept-Encoding", "gzip, deflate"))
			if r.status == 204 {
				assert.Empty(t, r.header.Get("Content-Encoding"))
				assert.Empty(t, r.body)
				continue
			}
			assert.Equal(t, "gzip", r.header.Get("Content-Encoding"), name)
			assert.Equal(t, int64(-1), r.length, name)
			zr, err := gzip.NewReader(bytes.NewReader([]byte(r.body)))
			require.NoError(t, err, name)
			text, err := io.ReadAll(zr)
			require.NoError(t, err, name)
			assert.Contains(t, `{[`, string(text[:1]), name)
			assert.Empty(t, send().header.Get("Content-Encoding"), name)
		}
	})
}

func TestClientsAskForGzipByName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		values []string
		want   bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"identity"}, false},
		{[]string{"*"}, false},
		{[]string{"deflate, br"}, false},
		{[]string{"gzip"}, true},
		{[]string{"GZIP"}, true},
		{[]string{"br, gzip"}, true},
		{[]string{"br", "gzip"}, true},
		{[]string{"gzip;q=1.0, identity; q=0.5"}, true},
		{[]string{"identity;q=1, gzip ; q=0.001"}, true},
		{[]string{"gzip;q=0"}, false},
		{[]string{"gzip; q=0.000, br"}, false},
		{[]string{"gzip;q=x"}, false},
	} {
		assert.Equal(t, tc.want, acceptsGzip(http.Header{"Accept-Encoding": tc.values}), tc.values)
	}
}

func TestTimerTellsHowLongItTook(t *testing.T) {
	t.Parallel()
	h := apiHeader(204, start.Add(1500*time.Microsecond), start.Add(time.Second))
	assert.Equal(t, "S1904283000.001500,VS0,VE998", h.Get("X-Timer"))
	assert.Equal(t, "998", h.Get("X-Envoy-Upstream-Service-Time"))
	assert.Equal(t, "204 No Content", h.Get("Status"))
}
