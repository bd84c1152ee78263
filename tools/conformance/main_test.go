package main

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

// TestMain is also the command that the test runs: it asks the server who its
// key is, and exits with 7 if there is one.
func TestMain(m *testing.M) {
	url := os.Getenv("TEST_URL")
	if url == "" {
		os.Exit(m.Run())
	}
	client, err := fastly.NewClient(fastly.WithBaseURL(url), fastly.WithAPIKey(os.Getenv("TEST_KEY")))
	if err != nil {
		os.Exit(1)
	}
	current, err := client.Tokens.GetTokenCurrent(context.Background())
	if err != nil || current.UserID != os.Getenv("TEST_USER") || os.Getenv("FASTLY_API_TOKEN") != "" {
		os.Exit(1)
	}
	os.Exit(7)
}

func TestRunReturnsTheExitCodeOfTheCommand(t *testing.T) {
	t.Setenv("FASTLY_API_TOKEN", "a-real-one")
	self, err := os.Executable()
	require.NoError(t, err)
	assert.Equal(t, 7, run([]string{self}))
	assert.Equal(t, 1, run([]string{self + "-missing"}))
	assert.Equal(t, 2, run(nil))
}
