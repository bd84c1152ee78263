package clock_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/fastly-tokens/fastly/internal/clock"
)

func TestServerClockGoesOnFromItsDate(t *testing.T) {
	t.Parallel()
	received := time.Now()
	h := http.Header{"Date": {"Wed, 02 Jan 2030 03:04:05 GMT"}}
	date := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	shown := clock.OfServer(h, received)
	assert.Equal(t, date.Add(time.Minute), shown.At(received.Add(time.Minute)))
	assert.WithinDuration(t, date, received.Add(-shown.Ahead()), 0)

	h.Set("Age", "7")
	assert.Nil(t, clock.OfServer(h, received), "a cache may have kept it")
	assert.Nil(t, clock.OfServer(nil, received))
	for _, odd := range []string{"today", "2030-01-02T03:04:05Z", "Wed, 02 Jan 2030 03:04:05 UTC", "Wed Jan  2 03:04:05 2030"} {
		assert.Nil(t, clock.OfServer(http.Header{"Date": {odd}}, received), odd)
	}
	unreadable := clock.OfServer(http.Header{"Date": {"Wed, 02 Jan 2030 03:04:61 GMT"}}, received)
	assert.Equal(t, received, unreadable.At(received), "the local time")
	assert.Zero(t, unreadable.Ahead())
	var none *clock.Server
	assert.Equal(t, received, none.At(received), "the local time")
	assert.Zero(t, none.Ahead())
}
