package fastly_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/benchkit"
)

// Each operation stands beside its floor, which is bare net/http and
// encoding/json. `go run ./bench` runs both in alternation and prints the
// ratios.

func benchmarkBeside(b *testing.B, config benchkit.Config, floor func(*benchkit.Floor) error, ours func(*fastly.Client) error) {
	srv := benchkit.NewServer(config)
	defer srv.Close()
	client, err := fastly.NewClient(fastly.WithAPIKey(benchkit.Key), fastly.WithBaseURL(srv.URL))
	require.NoError(b, err)
	bare := benchkit.NewFloor(srv.URL)
	run := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("floor", func() error { return floor(bare) })
	run("fastly", func() error { return ours(client) })
}

func BenchmarkGetToken(b *testing.B) {
	ctx := context.Background()
	benchmarkBeside(b, benchkit.Config{},
		func(f *benchkit.Floor) error { return f.Get(ctx, "/tokens/"+benchkit.ID) },
		func(c *fastly.Client) error { _, err := c.Tokens.GetToken(ctx, benchkit.ID); return err })
}

func BenchmarkGetTokenCurrent(b *testing.B) {
	ctx := context.Background()
	benchmarkBeside(b, benchkit.Config{},
		func(f *benchkit.Floor) error { return f.Get(ctx, "/tokens/self") },
		func(c *fastly.Client) error { _, err := c.Tokens.GetTokenCurrent(ctx); return err })
}

func BenchmarkListTokensUser(b *testing.B) {
	ctx := context.Background()
	benchmarkLists(b, []int{1, 10, 100, 1_000, 10_000, 100_000},
		func(f *benchkit.Floor) error { return f.List(ctx, "/tokens") },
		func(c *fastly.Client) error { _, err := c.Tokens.ListTokensUser(ctx); return err })
}

func BenchmarkListTokensCustomer(b *testing.B) {
	ctx := context.Background()
	benchmarkLists(b, []int{100},
		func(f *benchkit.Floor) error { return f.List(ctx, "/customer/"+benchkit.ID+"/tokens") },
		func(c *fastly.Client) error { _, err := c.Tokens.ListTokensCustomer(ctx, benchkit.ID); return err })
}

func benchmarkLists(b *testing.B, lengths []int, floor func(*benchkit.Floor) error, ours func(*fastly.Client) error) {
	for _, n := range lengths {
		for _, gzip := range []bool{false, true} {
			encoding := "plain"
			if gzip {
				encoding = "gzip"
			}
			b.Run(fmt.Sprintf("%d/%s", n, encoding), func(b *testing.B) {
				benchmarkBeside(b, benchkit.Config{Tokens: n, Gzip: gzip}, floor, ours)
			})
		}
	}
}

func BenchmarkCreateToken(b *testing.B) {
	ctx := context.Background()
	benchmarkBeside(b, benchkit.Config{},
		func(f *benchkit.Floor) error { return f.Create(ctx) },
		func(c *fastly.Client) error { _, err := c.Tokens.CreateToken(ctx, &benchkit.Request); return err })
}

func BenchmarkRevokeToken(b *testing.B) {
	ctx := context.Background()
	benchmarkBeside(b, benchkit.Config{},
		func(f *benchkit.Floor) error { return f.Revoke(ctx, "/tokens/"+benchkit.ID) },
		func(c *fastly.Client) error { return c.Tokens.RevokeToken(ctx, benchkit.ID) })
}

func BenchmarkRevokeTokenCurrent(b *testing.B) {
	ctx := context.Background()
	benchmarkBeside(b, benchkit.Config{},
		func(f *benchkit.Floor) error { return f.Revoke(ctx, "/tokens/self") },
		func(c *fastly.Client) error { return c.Tokens.RevokeTokenCurrent(ctx) })
}

func BenchmarkBulkRevokeTokens(b *testing.B) {
	ctx := context.Background()
	ids := benchkit.IDs(100)
	benchmarkBeside(b, benchkit.Config{},
		func(f *benchkit.Floor) error { return f.BulkRevoke(ctx, ids) },
		func(c *fastly.Client) error { return c.Tokens.BulkRevokeTokens(ctx, ids) })
}

// The two sides of a comparison must do the same work.
func TestFloorSendsWhatTheLibrarySends(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ids := benchkit.IDs(3)
	for name, pair := range map[string]struct {
		floor func(*benchkit.Floor) error
		ours  func(*fastly.TokensService) error
	}{
		"bulk revoke": {
			func(f *benchkit.Floor) error { return f.BulkRevoke(ctx, ids) },
			func(s *fastly.TokensService) error { return s.BulkRevokeTokens(ctx, ids) },
		},
		"create": {
			func(f *benchkit.Floor) error { return f.Create(ctx) },
			func(s *fastly.TokensService) error { _, err := s.CreateToken(ctx, &benchkit.Request); return err },
		},
		"get": {
			func(f *benchkit.Floor) error { return f.Get(ctx, "/tokens/"+benchkit.ID) },
			func(s *fastly.TokensService) error { _, err := s.GetToken(ctx, benchkit.ID); return err },
		},
		"list": {
			func(f *benchkit.Floor) error { return f.List(ctx, "/tokens") },
			func(s *fastly.TokensService) error { _, err := s.ListTokensUser(ctx); return err },
		},
		"revoke": {
			func(f *benchkit.Floor) error { return f.Revoke(ctx, "/tokens/"+benchkit.ID) },
			func(s *fastly.TokensService) error { return s.RevokeToken(ctx, benchkit.ID) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := make(chan string, 2)
			answer := benchkit.Handler(benchkit.Config{Tokens: 3})
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text, err := httputil.DumpRequest(r, true)
				assert.NoError(t, err)
				sent <- string(text)
				answer.ServeHTTP(w, r)
			}))
			t.Cleanup(srv.Close)
			client, err := fastly.NewClient(fastly.WithAPIKey(benchkit.Key), fastly.WithBaseURL(srv.URL))
			require.NoError(t, err)
			floor := benchkit.NewFloor(srv.URL)
			t.Cleanup(floor.HTTP.CloseIdleConnections)
			require.NoError(t, pair.ours(client.Tokens))
			require.NoError(t, pair.floor(floor))
			ours := <-sent
			assert.Equal(t, <-sent, ours)
		})
	}
}

// As the API's lists come: chunked, whatever their length.
func TestBenchmarkedListsHaveNoContentLength(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 100, 10_000} {
		for _, gzip := range []bool{false, true} {
			srv := benchkit.NewServer(benchkit.Config{Tokens: n, Gzip: gzip})
			t.Cleanup(srv.Close)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/tokens", nil)
			require.NoError(t, err)
			req.Header.Set("Accept-Encoding", "gzip")
			resp, err := srv.Client().Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, []string{"chunked"}, resp.TransferEncoding, "%d tokens, gzip %t", n, gzip)
			assert.EqualValues(t, -1, resp.ContentLength)
			assert.Equal(t, gzip, resp.Header.Get("Content-Encoding") == "gzip")
		}
	}
}
