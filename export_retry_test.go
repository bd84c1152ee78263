package fastly

import (
	"context"
	"time"
)

// The decisions about sending again, as the tests of their tables see them.
type (
	Kind  = kind
	Event = event
)

const (
	KindRead          = kindRead
	KindRevoke        = kindRevoke
	KindRevokeCurrent = kindRevokeCurrent
	KindRevokeBulk    = kindRevokeBulk
	KindCreate        = kindCreate

	EventDone     = eventDone
	EventNotSent  = eventNotSent
	EventLost     = eventLost
	EventBusy     = eventBusy
	EventCut      = eventCut
	EventLimited  = eventLimited
	EventRefused  = eventRefused
	EventUnusable = eventUnusable
	EventFailed   = eventFailed
)

var (
	ClassifyStatus = classifyStatus
	WaitFor        = waitFor
	Pause          = pause
	HideSecrets    = hide
)

// Judge is judge with its verdict in one word: again, done, unknown or fail.
func Judge(k Kind, e Event, status int, prior bool) string {
	switch judge(k, e, status, prior) {
	case verdict{again: true}:
		return "again"
	case verdict{done: true}:
		return "done"
	case verdict{unknown: true}:
		return "unknown"
	case verdict{}:
		return "fail"
	}
	return "a contradiction"
}

func Backoff(p RetryPolicy, n int, chance float64) time.Duration { return p.backoff(n, chance) }

func WithDefaults(p RetryPolicy) RetryPolicy { return p.withDefaults() }

// HookPause replaces the waiting between attempts.
func HookPause(c *Client, pause func(context.Context, time.Duration) error) { c.pause = pause }

// HookNow replaces the client's clock.
func HookNow(c *Client, now func() time.Time) { c.now = now }
