package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFloorSendsWhatTheLibrarySends(t *testing.T) {
	t.Parallel()
	assert.Len(t, operations, 8, "want every method of the library")
	product := regexp.MustCompile(`User-Agent: .*`)
	for name := range operations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := make(chan string, 2)
			responses := handler(config{tokens: 3})
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text, err := httputil.DumpRequest(r, true)
				assert.NoError(t, err)
				sent <- product.ReplaceAllString(string(text), "User-Agent: any")
				responses.ServeHTTP(w, r)
			}))
			t.Cleanup(srv.Close)
			floor, library, err := sides(srv.URL, name)
			require.NoError(t, err)
			t.Cleanup(library.close)
			t.Cleanup(floor.close)
			require.NoError(t, library.call(t.Context()))
			require.NoError(t, floor.call(t.Context()))
			want := <-sent
			assert.Equal(t, want, <-sent, "want the floor to send the library's request")
		})
	}
}

func TestServerSendsListsWithoutContentLength(t *testing.T) {
	t.Parallel()
	for _, c := range []config{
		{tokens: 1}, {tokens: 1, gzip: true},
		{tokens: 100}, {tokens: 100, gzip: true}, {tokens: 100, tls: true},
	} {
		srv := newServer(c)
		t.Cleanup(srv.Close)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/tokens", nil)
		require.NoError(t, err)
		req.Header.Set("Accept-Encoding", "gzip")
		resp, err := srv.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusOK, resp.StatusCode, "%+v", c)
		assert.EqualValues(t, -1, resp.ContentLength, "%+v: want no Content-Length", c)
		assert.Equal(t, c.gzip, resp.Header.Get("Content-Encoding") == "gzip", "%+v", c)
		assert.Equal(t, c.tls, resp.ProtoMajor == 2, "%+v: got %s", c, resp.Proto)
	}
}
