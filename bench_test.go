package fastly_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

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

func BenchmarkGetTokenCurrent(b *testing.B) {
	ctx := context.Background()
	benchmarkBeside(b, benchkit.Config{},
		func(f *benchkit.Floor) error { return f.Get(ctx) },
		func(c *fastly.Client) error { _, err := c.Tokens.GetTokenCurrent(ctx); return err })
}

func BenchmarkListTokensUser(b *testing.B) {
	ctx := context.Background()
	for _, n := range []int{1, 10, 100, 1_000, 10_000, 100_000} {
		for _, gzip := range []bool{false, true} {
			encoding := "plain"
			if gzip {
				encoding = "gzip"
			}
			b.Run(fmt.Sprintf("%d/%s", n, encoding), func(b *testing.B) {
				benchmarkBeside(b, benchkit.Config{Tokens: n, Gzip: gzip},
					func(f *benchkit.Floor) error { return f.List(ctx) },
					func(c *fastly.Client) error { _, err := c.Tokens.ListTokensUser(ctx); return err })
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

// The two sides of a comparison must do the same work.
func TestFloorSendsWhatTheLibrarySends(t *testing.T) {
	t.Parallel()
	srv := benchkit.NewServer(benchkit.Config{Tokens: 3})
	t.Cleanup(srv.Close)
	client, err := fastly.NewClient(fastly.WithAPIKey(benchkit.Key), fastly.WithBaseURL(srv.URL))
	require.NoError(t, err)
	bare := benchkit.NewFloor(srv.URL)

	list, err := client.Tokens.ListTokensUser(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.True(t, strings.HasPrefix(list[2].Name, "ci token"))
	require.NoError(t, bare.List(t.Context()))
	require.NoError(t, bare.Get(t.Context()))
	require.NoError(t, bare.Create(t.Context()))
	created, err := client.Tokens.CreateToken(t.Context(), &benchkit.Request)
	require.NoError(t, err)
	require.NotEmpty(t, created.AccessToken.Reveal())
}
