package fastlytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRoute(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 64)
	for _, tc := range []struct{ path, allow, id string }{
		{"/tokens", "DELETE, GET, POST", ""},
		{"/tokens/self", "DELETE, GET", ""},
		{"/tokens/5Yo3XXnrQpjc20u0ybrf2g", "DELETE, GET", "5Yo3XXnrQpjc20u0ybrf2g"},
		{"/tokens/" + long, "DELETE, GET", long},
		{"/customer/c1/tokens", "GET", "c1"},
		{"/sudo", "POST", ""},
		{"", "", ""},
		{"/", "", ""},
		{"*", "", ""},
		{"//tokens", "", ""},
		{"/tokens/", "", ""},
		{"/tokens//", "", ""},
		{"/tokens/self/", "", ""},
		{"/tokens/%73elf", "", ""},
		{"/tokens/a%2Fb", "", ""},
		{"/tokens/a/b", "", ""},
		{"/tokens/../tokens", "", ""},
		{"/tokens/a-b", "", ""},
		{"/tokens/" + long + "a", "", ""},
		{"/Tokens", "", ""},
		{"/customer//tokens", "", ""},
		{"/customer/tokens", "", ""},
		{"/customer/c1/tokens/", "", ""},
		{"/customer/a.b/tokens", "", ""},
		{"/customer/c1", "", ""},
		{"/sudo/", "", ""},
	} {
		res, id := route(tc.path)
		assert.Equal(t, tc.allow, res.allow(), tc.path)
		assert.Equal(t, tc.id, id, tc.path)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, tc := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/tokens/", 404, ""},
		{"GET", "//tokens", 404, ""},
		{"GET", "/tokens/%73elf", 404, ""},
		{"GET", "/tokens/../tokens", 404, ""},
		{"DELETE", "/tokens/a%2fb", 404, ""},
		{"POST", "/tokens/!", 404, ""},
		{"PUT", "/tokens", 405, "DELETE, GET, POST"},
		{"HEAD", "/tokens", 405, "DELETE, GET, POST"},
		{"OPTIONS", "/tokens/self", 405, "DELETE, GET"},
		{"POST", "/tokens/abc", 405, "DELETE, GET"},
		{"DELETE", "/customer/abc/tokens", 405, "GET"},
		{"GET", "/sudo", 405, "POST"},
	} {
		t.Run(tc.method+tc.path, func(t *testing.T) {
			t.Parallel()
			r := a.send(tc.method, tc.path, key(a.Key()))
			assert.Equal(t, tc.status, r.status)
			assert.Equal(t, tc.allow, r.header.Get("Allow"))
			if tc.method != "HEAD" {
				assertProblem(t, r, tc.status, "")
			}
		})
	}
}

func TestQueryIsIgnored(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	assert.Equal(t, 200, a.send("GET", "/tokens?page=2&x=%zz", key(a.Key())).status)
	assert.Equal(t, "page=2&x=%zz", a.Requests()[0].Query)
}

// What a client library would never send.
func TestRawRequests(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, tc := range []struct {
		name, request string
		status        int
	}{
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"absolute form", "GET http://x/tokens/self HTTP/1.1\r\nHost: x\r\nFastly-Key: %s\r\n\r\n", 200},
		{"key twice", "GET /tokens HTTP/1.1\r\nHost: x\r\nFastly-Key: %[1]s\r\nFastly-Key: %[1]s\r\n\r\n", 401},
		{"CONNECT", "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"odd method", "get /tokens HTTP/1.1\r\nHost: x\r\n\r\n", 405},
		{"broken chunk", "POST /tokens HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		{"Content-Length: 0", "DELETE /tokens/nope HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Type: text/plain\r\nFastly-Key: %s\r\n\r\n", 404},
		{"empty chunked body", "GET /tokens HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nFastly-Key: %s\r\n\r\n0\r\n\r\n", 200},
		{"HTTP/1.0", "GET /tokens HTTP/1.0\r\nFastly-Key: %s\r\n\r\n", 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", strings.TrimPrefix(a.URL, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			text := tc.request
			if strings.Contains(text, "%") {
				text = fmt.Sprintf(text, a.Key().Reveal())
			}
			_, err = io.WriteString(conn, text)
			require.NoError(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			assert.Equal(t, tc.status, resp.StatusCode)
		})
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	const formType = "application/x-www-form-urlencoded"
	me := `{"data":[{"type":"token","id":"x"}]}`
	for _, tc := range []struct {
		name, method, path string
		body               mod
		status             int
	}{
		{"get", "GET", "/tokens/x", body("", "x"), 400},
		{"get self", "GET", "/tokens/self", body("", "x"), 400},
		{"list", "GET", "/tokens", body("application/json", "{}"), 400},
		{"list customer", "GET", "/customer/" + a.User().CustomerID + "/tokens", body("", "x"), 400},
		{"revoke", "DELETE", "/tokens/x", body("", "x"), 400},
		{"revoke self", "DELETE", "/tokens/self", body("", "x"), 400},
		{"Content-Type alone", "GET", "/tokens/self", header("Content-Type", "application/json"), 200},
		{"create, no body", "POST", "/tokens", body("application/json", ""), 200},
		{"create, charset", "POST", "/tokens", body(formType+"; charset=utf-8", "name=n"), 200},
		{"create, upper case", "POST", "/tokens", body("Application/X-WWW-Form-URLEncoded", "name=n"), 200},
		{"create, no type", "POST", "/tokens", body("", "name=n"), 415},
		{"create, JSON", "POST", "/tokens", body("application/json", `{"name":"n"}`), 415},
		{"create, bad type", "POST", "/tokens", body(";", "name=n"), 415},
		{"create, bad form", "POST", "/tokens", body(formType, "name=%zz"), 400},
		{"create, too large", "POST", "/tokens", body(formType, "name="+strings.Repeat("n", maxBody)), 413},
		{"bulk, quoted", "DELETE", "/tokens", body(`application/vnd.api+json; ext="bulk"`, me), 404},
		{"bulk, no ext", "DELETE", "/tokens", body("application/vnd.api+json", me), 415},
		{"bulk, other ext", "DELETE", "/tokens", body("application/vnd.api+json; ext=jsonpatch", me), 415},
		{"bulk, JSON", "DELETE", "/tokens", body("application/json", me), 415},
		{"bulk, no type", "DELETE", "/tokens", body("", me), 415},
		{"bulk, no body", "DELETE", "/tokens", body(bulkType, ""), 400},
		{"bulk, no JSON", "DELETE", "/tokens", body(bulkType, "data"), 400},
		{"bulk, more after it", "DELETE", "/tokens", body(bulkType, me+me), 400},
		{"bulk, null", "DELETE", "/tokens", body(bulkType, "null"), 400},
		{"bulk, empty", "DELETE", "/tokens", body(bulkType, `{"data":[]}`), 400},
		{"bulk, object", "DELETE", "/tokens", body(bulkType, `{"data":{"type":"token","id":"x"}}`), 400},
		{"bulk, strings", "DELETE", "/tokens", body(bulkType, `{"data":["x"]}`), 400},
		{"bulk, wrong type", "DELETE", "/tokens", body(bulkType, `{"data":[{"type":"user","id":"x"}]}`), 400},
		{"bulk, no id", "DELETE", "/tokens", body(bulkType, `{"data":[{"type":"token"}]}`), 400},
		{"bulk, id a number", "DELETE", "/tokens", body(bulkType, `{"data":[{"type":"token","id":1}]}`), 400},
		{"bulk, wrong case", "DELETE", "/tokens", body(bulkType, `{"Data":[{"type":"token","id":"x"}]}`), 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := a.send(tc.method, tc.path, key(a.Key()), tc.body)
			assert.Equal(t, tc.status, r.status, r.body)
		})
	}
}

func TestContentTypeTwice(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	r := a.send("POST", "/tokens", key(a.Key()), form("name", "n"),
		header("Content-Type", "application/x-www-form-urlencoded"))
	assert.Equal(t, 415, r.status)
}
