package fastlytest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

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
	all["404, path"] = send("GET", "/nothing")
	all["405"] = send("PUT", "/tokens")
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
				"Vary":                      "Accept-Encoding",
				"Strict-Transport-Security": "max-age=31536000",
				"Via":                       "1.1 varnish, 1.1 varnish",
				"X-Cache":                   "MISS, MISS",
				"Date":                      "Mon, 06 May 2030 07:30:00 GMT",
			}
			for header, value := range want {
				assert.Equal(t, []string{value}, r.header.Values(header), "%s of %s", header, name)
			}
			assert.Regexp(t, `^S1904283000\.000000,VS0,VE\d+$`, r.header.Get("X-Timer"))
			assert.NotEmpty(t, r.header.Get("X-Served-By"))
			if r.status == 204 {
				assert.Empty(t, r.body)
				continue
			}
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
	assert.Equal(t, "204 No Content", h.Get("Status"))
}
