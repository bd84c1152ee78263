package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo/demotest"
)

func TestMain(m *testing.M) { demotest.Main(m) }

func TestExpiringListsTokensAndFails(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		ID: "soon", Name: "a\x1b[2J", ExpiresAt: time.Now().Add(time.Hour),
	}})
	p := demotest.Command(t, srv, "-days", "14")
	assert.Equal(t, 1, p.Code(t), p.Err.String())
	assert.Regexp(t, `^\S+  soon +"a\\x1b\[2J" +"global"\n\S+  3tGqLw8ZnRb5XcVh1jKy7D  "terraform-prod" +"global"\n$`, p.Out.String())
}

func TestNothingExpiring(t *testing.T) {
	t.Parallel()
	p := demotest.Command(t, demotest.Start(t), "-days", "1")
	assert.Equal(t, 0, p.Code(t), p.Err.String())
	assert.Empty(t, p.Out.String())
}

func TestExpiringDemo(t *testing.T) {
	t.Parallel()
	p := demotest.Command(t, nil, "-demo")
	require.Equal(t, 1, p.Code(t), p.Err.String())
	assert.Contains(t, p.Out.String(), "terraform-prod")
	assert.Contains(t, p.Err.String(), "made-up tokens")
}

func TestExpiringWithoutCredentials(t *testing.T) {
	t.Parallel()
	demotest.AssertNeedsCredentials(t, "FASTLY_API_TOKEN")
}
