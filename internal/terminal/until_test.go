package terminal_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/fastly-tokens/fastly/internal/terminal"
)

func TestUntilIsInTheLargestUnit(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := time.Now()
	for d, want := range map[time.Duration]string{
		0: "now", time.Second: "in 1s", -89 * time.Second: "89s ago", -2 * time.Hour: "2h ago",
		8 * day: "in 8d", -423 * day: "14mo ago", 800 * day: "in 2y",
	} {
		assert.Equal(t, want, terminal.Until(now.Add(d), now))
	}
	assert.Equal(t, "never", terminal.Until(time.Time{}, now))
}
