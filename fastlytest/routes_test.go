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

	"github.com/fastly-tokens/fastly"
)

func TestRouteFindsOnlyThePathsOfTheAPI(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 64)
	for _, tc := range []struct{ path, allow, id string }{
		{"/tokens", "DELETE, GET, POST", ""},
		{"/tokens/self", "DELETE, GET", ""},
		{"/tokens/5Yo3XXnrQpjc20u0ybrf2g", "DELETE, GET", "5Yo3XXnrQpjc20u0ybrf2g"},
		{"/tokens/" + long, "DELETE, GET", long},
		{"/customer/c1/tokens", "GET", "c1"},
		{"/sudo", "POST", ""},
		{"/current_user", "GET", ""},
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
		{"PUT", "/current_user", 405, "GET"},
		{"GET", "/service", 404, ""},
	} {
		t.Run(tc.method+tc.path, func(t *testing.T) {
			t.Parallel()
			for _, bad := range []mod{key(""), key("unknown")} {
				r := a.send(tc.method, tc.path, bad)
				assert.Equal(t, 401, r.status, "the key is checked first")
				assert.Empty(t, r.header.Get("Allow"))
			}
			r := a.send(tc.method, tc.path, key(a.Key()))
			assert.Equal(t, tc.status, r.status)
			assert.Equal(t, tc.allow, r.header.Get("Allow"))
			if tc.method != "HEAD" {
				assertProblem(t, r, tc.status, "")
			}
		})
	}
}

func TestQueryIsIgnoredButForCreates(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	assert.Equal(t, 200, a.send("GET", "/tokens?page=2&x=%zz", key(a.Key())).status)
	assert.Equal(t, "page=2&x=%zz", a.Requests()[0].Query)
}

// What a client library would never send.
func TestUnusualRequestsGetAResponse(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, tc := range []struct {
		name, request string
		status        int
	}{
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\nFastly-Key: %s\r\n\r\n", 404},
		{"absolute form", "GET http://x/tokens/self HTTP/1.1\r\nHost: x\r\nFastly-Key: %s\r\n\r\n", 200},
		{"key twice", "GET /tokens HTTP/1.1\r\nHost: x\r\nFastly-Key: %[1]s\r\nFastly-Key: %[1]s\r\n\r\n", 401},
		{"CONNECT", "CONNECT x:80 HTTP/1.1\r\nHost: x\r\nFastly-Key: %s\r\n\r\n", 404},
		{"odd method", "get /tokens HTTP/1.1\r\nHost: x\r\nFastly-Key: %s\r\n\r\n", 405},
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

// FuzzCall looks for requests that make the API panic.
func FuzzCall(f *testing.F) {
	f.Add("POST", "/tokens", "", "application/x-www-form-urlencoded", "name=a&scope=global&expires_at=2031-01-02T02:04:05Z", "key", "Basic YTpi", "1")
	f.Add("POST", "/tokens", "", "application/x-www-form-urlencoded", "username=owner&password=p", "", "", "000000")
	f.Add("DELETE", "/tokens", "", bulkType, `{"data":[{"type":"token","id":"T"}]}`, "key", "", "")
	f.Add("GET", "/tokens/T", "", "", "", "key", "", "")
	f.Add("GET", "/customer/c/tokens", "", "", "", "key", "", "")
	f.Add("POST", "/tokens", "", "application/json", `{"name":"n","scopes":["purge_all"],"services":["S"],"username":"owner","password":"p"}`, "", "", "1")
	f.Add("GET", "/current_user", "", "", "", "key", "", "")
	f.Add("POST", "/sudo", "", "application/json", `{"password":"p","expiry_time":"2031-01-02T02:04:05Z"}`, "key", "", "")
	f.Add("POST", "/sudo", "", "application/x-www-form-urlencoded", "username=owner&password=p", "key", "", "")
	f.Fuzz(func(t *testing.T, method, path, query, contentType, body, key, authorization, otp string) {
		st := newState(options{perHour: 10})
		u := st.addUser(User{CustomerID: "c", Login: "owner", Password: "p", Superuser: true, TOTPSecret: "JBSWY3DP"})
		st.addToken(u, fastly.TokenCreatedResponse{
			TokenResponse: fastly.TokenResponse{ID: "T"}, AccessToken: "key",
		}, start)
		resp := st.process(&call{
			now: start, method: method, path: path, query: query, body: []byte(body), ip: "192.0.2.1",
			header: http.Header{
				"Content-Type": {contentType}, "Fastly-Key": {key}, "Authorization": {authorization}, "Fastly-Otp": {otp},
			},
		})
		if resp.status < 200 || resp.status >= 500 {
			t.Errorf("status %d", resp.status)
		}
	})
}
