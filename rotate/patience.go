package rotate

import (
	"context"
	"time"

	"github.com/fastly-tokens/fastly/internal/clock"
)

const (
	// defaultPatience is how long lists and edges of the API may lag.
	defaultPatience = 30 * time.Second
	firstPause      = 250 * time.Millisecond
	maxPause        = 8 * time.Second
)

// patience is the time left to look for what the API may show with a delay.
type patience time.Duration

// repeat calls f until it is done, with a pause between calls, while patience
// lasts. When ctx ends, f is called once more. It returns f's last error.
func (p *patience) repeat(ctx context.Context, f func() (done bool, err error)) error {
	start, limit := time.Now(), time.Duration(*p)
	defer func() { *p -= patience(time.Since(start)) }()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		ended := ctx.Err() != nil
		done, err := f()
		left := limit - time.Since(start)
		if done || ended || left <= 0 {
			return err
		}
		_ = clock.Sleep(ctx, min(pause, left)) // f is called once more
	}
}
