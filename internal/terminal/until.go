package terminal

import (
	"strconv"
	"time"
)

const day = 24 * time.Hour

// Until returns how far away t is: "in 8d", "2h ago". The zero time is "never".
func Until(t, now time.Time) string {
	d := t.Sub(now)
	switch {
	case t.IsZero():
		return "never"
	case d > 0:
		return "in " + Duration(d)
	case d > -time.Second:
		return "now"
	}
	return Duration(-d) + " ago"
}

// Duration returns a duration in its largest unit, rounded.
func Duration(d time.Duration) string {
	for _, unit := range []struct {
		name       string
		size, from time.Duration
	}{
		{"y", 365 * day, 700 * day}, {"mo", 30 * day, 90 * day}, {"d", day, 36 * time.Hour},
		{"h", time.Hour, 90 * time.Minute}, {"m", time.Minute, 90 * time.Second},
	} {
		if d >= unit.from {
			return strconv.Itoa(int(d.Round(unit.size)/unit.size)) + unit.name
		}
	}
	return strconv.Itoa(int(d.Round(time.Second)/time.Second)) + "s"
}
