package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFloorSendsWhatTheLibrarySends(t *testing.T) {
	t.Parallel()
	assert.Len(t, Operations, 8, "want every method of the library")
	for name, op := range Operations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := make(chan string, 2)
			handler := Handler(Config{Tokens: 3})
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text, err := httputil.DumpRequest(r, true)
				assert.NoError(t, err)
				sent <- string(text)
				handler.ServeHTTP(w, r)
			}))
			t.Cleanup(srv.Close)
			library, err := Library(srv.URL, op)
			require.NoError(t, err)
			t.Cleanup(library.CloseIdleConnections)
			floor, err := Floor(srv.URL, op)
			require.NoError(t, err)
			t.Cleanup(floor.CloseIdleConnections)
			require.NoError(t, library.Call(t.Context()))
			require.NoError(t, floor.Call(t.Context()))
			want := <-sent
			assert.Equal(t, want, <-sent, "want the floor to send the library's request")
		})
	}
}

func TestServerSendsListsWithoutContentLength(t *testing.T) {
	t.Parallel()
	for _, config := range []Config{
		{Tokens: 1}, {Tokens: 1, Gzip: true},
		{Tokens: 100}, {Tokens: 100, Gzip: true}, {Tokens: 100, TLS: true},
	} {
		srv := NewServer(config)
		t.Cleanup(srv.Close)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/tokens", nil)
		require.NoError(t, err)
		req.Header.Set("Accept-Encoding", "gzip")
		resp, err := srv.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusOK, resp.StatusCode, "%+v", config)
		assert.EqualValues(t, -1, resp.ContentLength, "%+v: want no Content-Length", config)
		assert.Equal(t, config.Gzip, resp.Header.Get("Content-Encoding") == "gzip", "%+v", config)
		assert.Equal(t, config.TLS, resp.ProtoMajor == 2, "%+v: got %s", config, resp.Proto)
	}
}

func TestServerCountsConnections(t *testing.T) {
	t.Parallel()
	srv := NewServer(Config{})
	t.Cleanup(srv.Close)
	for want := range int64(3) {
		floor, err := Floor(srv.URL, Operations["GetToken"])
		require.NoError(t, err)
		for range 2 {
			require.NoError(t, floor.Call(t.Context()))
		}
		floor.CloseIdleConnections()
		assert.Equal(t, want+1, srv.Connections.Load(), "want one connection for both calls")
	}
}
