package clock_test

import (
	"cmp"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/fastly-tokens/fastly/internal/clock"
)

func TestSleepEndsWithTheTimeOrTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		assert.NoError(t, clock.Sleep(t.Context(), time.Minute))
		assert.Equal(t, time.Minute, time.Since(start))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, clock.Sleep(ctx, time.Hour), context.DeadlineExceeded)
		assert.Equal(t, time.Minute+time.Second, time.Since(start))
	})
}

func TestRepeatEndsWhenItIsDoneOrOutOfPatienceOrTheContextHasEnded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		patience, end       time.Duration
		endAt, doneAt, want int
		left                time.Duration
	}{
		"done at once":          {patience: time.Minute, doneAt: 1, want: 1, left: time.Minute},
		"done after two pauses": {patience: time.Minute, doneAt: 3, want: 3, left: time.Minute - 750*time.Millisecond},
		"no patience":           {doneAt: 9, want: 1},
		"patience ends":         {patience: time.Second, doneAt: 9, want: 4},
		"the context ends":      {patience: time.Minute, end: 300 * time.Millisecond, doneAt: 9, want: 3, left: time.Minute - 300*time.Millisecond},
		"it ends in a call":     {patience: time.Minute, endAt: 2, doneAt: 9, want: 3, left: time.Minute - 250*time.Millisecond},
		"it ends in the last":   {endAt: 1, doneAt: 9, want: 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(tc.end, time.Hour))
			defer cancel()
			n := 0
			got, err := clock.Repeat(ctx, &tc.patience, func() (int, bool, error) {
				if n++; n == tc.endAt {
					cancel()
				}
				return n, n == tc.doneAt, nil
			})
			assert.NoError(t, err, name)
			assert.Equal(t, tc.want, got, name)
			assert.Equal(t, tc.left, tc.patience, name)
		})
	}
}
