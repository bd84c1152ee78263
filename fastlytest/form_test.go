package fastlytest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestParseTimeAcceptsOnlyRFC3339(t *testing.T) {
	t.Parallel()
	at := time.Date(2031, 1, 2, 2, 4, 5, 0, time.UTC)
	for _, s := range []string{
		"2031-01-02T02:04:05Z", "2031-01-02T02:04:05+00:00", "2031-01-02T02:04:05-00:00",
		"2031-01-02T03:34:05+01:30", "2031-01-01T22:04:05-04:00", "2031-01-02T02:04:05.999999Z", "2031-01-02t02:04:05z",
	} {
		got, ok := parseTime(s)
		assert.True(t, ok, s)
		assert.Equal(t, at, got, s)
	}
	for _, s := range []string{
		"", "2031", "2031-01-02", "2031-01-02T02:04Z", "2031-01-02 02:04:05Z", "2031-01-02T02:04:05", "2031-01-02T2:04:05Z",
		"2031-01-02T02:04:05,5Z", "2031-01-02T02:04:05.Z", "2031-13-02T02:04:05Z", "2031-02-29T02:04:05Z", "2031-01-02T24:00:00Z",
		"2031-01-02T02:04:05+24:00", "2031-01-02T02:04:05+0100", "12031-01-02T02:04:05Z", "9999-12-31T23:59:59-00:01",
		"0000-01-01T00:00:00+00:01", " 2031-01-02T02:04:05Z", "2031-01-02T02:04:05Z\n",
	} {
		_, ok := parseTime(s)
		assert.False(t, ok, s)
	}
}

func TestBodiesThatEndpointsTake(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo())
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
		{"create, no type", "POST", "/tokens", body("", "name=n"), 200},
		{"create, JSON", "POST", "/tokens", body("application/json", `{"name":"n"}`), 200},
		{"create, JSON:API", "POST", "/tokens", body("application/vnd.api+json", `{"name":"n"}`), 415},
		{"create, multipart", "POST", "/tokens", body("multipart/form-data; boundary=x", "--x--"), 415},
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

func TestTwoContentTypesAreRejected(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo())
	r := a.send("POST", "/tokens", key(a.Key()), form("name", "n"),
		header("Content-Type", "application/x-www-form-urlencoded"))
	assert.Equal(t, 415, r.status)
}
