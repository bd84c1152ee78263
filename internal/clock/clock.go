// Package clock waits for time to pass, says how long to wait for the API, and reads a server's clock.
package clock

import (
	"context"
	"time"
)

// Lag is how long the API may take to show a new token everywhere: in lists, and at each edge.
// Only tests change it, before they begin.
var Lag = 30 * time.Second

// Sleep waits for d, or until ctx ends, which is an error.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
