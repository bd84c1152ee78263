package clock_test

import (
	"cmp"
	"context"
	"errors"
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

func TestRepeatStopsWhenItIsDoneOrImpatientOrItsContextEnds(t *testing.T) {
	t.Parallel()
	notYet := errors.New("not yet")
	for name, tc := range map[string]struct {
		patience, end       time.Duration
		endAt, doneAt, want int
		left                time.Duration
		wantErr             error
	}{
		"done at once":            {patience: time.Minute, doneAt: 1, want: 1, left: time.Minute},
		"done after two pauses":   {patience: time.Minute, doneAt: 3, want: 3, left: time.Minute - 750*time.Millisecond},
		"no patience":             {doneAt: 9, want: 1, wantErr: notYet},
		"patience ends":           {patience: time.Second, doneAt: 9, want: 4, wantErr: notYet},
		"the context ends":        {patience: time.Minute, end: 300 * time.Millisecond, doneAt: 9, want: 2, left: time.Minute - 300*time.Millisecond, wantErr: context.DeadlineExceeded},
		"it ends in a call":       {patience: time.Minute, endAt: 2, doneAt: 9, want: 2, left: time.Minute - 250*time.Millisecond, wantErr: context.Canceled},
		"it ends in the last":     {endAt: 1, doneAt: 9, want: 1, wantErr: context.Canceled},
		"it ends when it is done": {endAt: 1, doneAt: 1, want: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(tc.end, time.Hour))
			defer cancel()
			n := 0
			got, err := clock.Repeat(ctx, &tc.patience, func() (int, bool, error) {
				if n++; n == tc.endAt {
					cancel()
				}
				if n == tc.doneAt {
					return n, true, nil
				}
				return n, false, notYet
			})
			assert.ErrorIs(t, err, tc.wantErr, name)
			if tc.wantErr != nil {
				assert.ErrorContains(t, err, "not yet", name)
			}
			if tc.wantErr != notYet { //nolint:errorlint // it is that one
				assert.NotErrorIs(t, err, notYet, name)
			}
			assert.Equal(t, tc.want, got, name)
			assert.Equal(t, tc.left, tc.patience, name)
		})
	}
}
