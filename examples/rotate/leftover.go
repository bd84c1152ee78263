package main

import (
	"slices"
	"time"

	"github.com/fastly-tokens/fastly"
)

// clockSkew is how far the clocks of the API and of this machine may be apart.
const clockSkew = 5 * time.Minute

// leftovers finds, among the user's tokens, those that creates without an
// answer have made. own is certain: like the old token in all respects, not
// there before, never used by anyone, and the only one that expires in the very
// second that was asked for. unsure is what looks the same but might be
// somebody else's: one that never expires, for a start.
func leftovers(tokens []fastly.TokenResponse, r *record) (own, unsure []fastly.TokenResponse) {
	var found []fastly.TokenResponse
	twins := map[int64]int{}
	for _, t := range tokens {
		if alike(&t, &r.Old) && !r.knows(t.ID) && r.asked(t.ExpiresAt) &&
			(t.CreatedAt.IsZero() || t.CreatedAt.After(r.Started.Add(-clockSkew))) {
			found = append(found, t)
			twins[t.ExpiresAt.Unix()]++
		}
	}
	for _, t := range found {
		if !t.ExpiresAt.IsZero() && twins[t.ExpiresAt.Unix()] == 1 && t.LastUsedAt.IsZero() {
			own = append(own, t)
		} else {
			unsure = append(unsure, t)
		}
	}
	return own, unsure
}

func (r *record) knows(id string) bool {
	return id == r.Old.ID || id == r.New || slices.Contains(r.Known, id) || slices.Contains(r.Stale, id)
}

func (r *record) asked(expires time.Time) bool {
	return slices.ContainsFunc(r.Asked, expires.Equal)
}

// alike reports whether a token has the name, rights and user of another.
func alike(t, old *fastly.TokenResponse) bool {
	return t.Name == old.Name && t.UserID == old.UserID &&
		slices.Equal(sorted(t.Scopes), sorted(old.Scopes)) &&
		slices.Equal(sorted(t.Services), sorted(old.Services))
}

func sorted[S ~[]E, E ~string](s S) S {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}
