package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/fastly-tokens/fastly"
)

// Kinds of findings.
const (
	neverExpires = "never-expires"
	expiring     = "expiring"
	unused       = "unused"
	global       = "global"
	allServices  = "all-services"
)

var kinds = []string{neverExpires, expiring, unused, global, allServices}

// rules decide what to report.
type rules struct {
	expiring, unused duration
	ignored          []string // kinds
}

// report is what was found.
type report struct {
	// Checked is how many tokens were looked at.
	Checked int `json:"checked"`
	// Tokens are those with findings, the most findings first.
	Tokens []finding `json:"tokens"`

	now time.Time
}

// finding is a token with its findings.
type finding struct {
	fastly.TokenResponse
	Findings []string `json:"findings"`
}

func (f *finding) has(kind string) bool { return slices.Contains(f.Findings, kind) }

// apply checks all tokens that still work. current is the ID of the one that the program uses.
func (r *rules) apply(tokens []fastly.TokenResponse, current string, now time.Time) report {
	rep := report{Tokens: []finding{}, now: now}
	for i := range tokens {
		t := &tokens[i]
		if !t.DeletedAt.IsZero() || t.Expired(now) {
			continue
		}
		rep.Checked++
		if found := r.find(t, t.ID == current, now); len(found) > 0 {
			rep.Tokens = append(rep.Tokens, finding{*t, found})
		}
	}
	slices.SortStableFunc(rep.Tokens, func(a, b finding) int { return cmp.Compare(len(b.Findings), len(a.Findings)) })
	return rep
}

// find returns the findings about one token.
func (r *rules) find(t *fastly.TokenResponse, inUse bool, now time.Time) (found []string) {
	// A token that was never used counts from its creation: a new one is not unused.
	lastUse := t.LastUsedAt
	if lastUse.IsZero() {
		lastUse = t.CreatedAt
	}
	check := func(kind string, is bool) {
		if is && !slices.Contains(r.ignored, kind) {
			found = append(found, kind)
		}
	}
	check(neverExpires, t.ExpiresAt.IsZero())
	check(expiring, t.Expired(now.Add(time.Duration(r.expiring))))
	// A token without any date might be in use.
	check(unused, !inUse && !lastUse.IsZero() && now.Sub(lastUse) >= time.Duration(r.unused))
	check(global, t.Scopes.Has(fastly.ScopeGlobal))
	check(allServices, reachesAll(t))
	return found
}
