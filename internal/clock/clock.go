// Package clock waits for time to pass, says how long to wait for the API, and reads a server's clock.
package clock

import (
	"context"
	"errors"
	"fmt"
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

const (
	firstPause = 250 * time.Millisecond
	maxPause   = 8 * time.Second
)

// Repeat calls f, with growing pauses, until it is done or patience, from which the time spent is taken,
// has run out, and returns f's last result. If ctx ends before f is done, the error matches that of ctx,
// and otherwise nothing that f's does: it says no more than that f was not done yet.
func Repeat[T any](ctx context.Context, patience *time.Duration, f func() (result T, done bool, err error)) (T, error) {
	start, limit := time.Now(), *patience
	defer func() { *patience -= time.Since(start) }()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		result, done, err := f()
		left := limit - time.Since(start)
		if done || left <= 0 && ctx.Err() == nil {
			return result, err
		}
		_ = Sleep(ctx, min(pause, left)) // or not at all
		ended := ctx.Err()
		switch {
		case ended == nil:
		case err == nil:
			return result, ended
		case errors.Is(err, ended):
			return result, err
		default:
			return result, fmt.Errorf("%s; %w", err.Error(), ended)
		}
	}
}
