package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
)

// kind is a kind of finding.
type kind string

const (
	neverExpires kind = "never-expires"
	expiring     kind = "expiring"
	unused       kind = "unused"
	global       kind = "global"
	allServices  kind = "all-services"
)

var kinds = []kind{neverExpires, expiring, unused, global, allServices}

func kindNames() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return names
}

// kindSet is a flag: a comma-separated list of kinds.
type kindSet map[kind]bool

// Type implements pflag.Value.
func (s *kindSet) Type() string { return "findings" }

// String implements pflag.Value.
func (s *kindSet) String() string {
	var names []string
	for _, k := range kinds {
		if (*s)[k] {
			names = append(names, string(k))
		}
	}
	return strings.Join(names, ",")
}

// Set implements pflag.Value.
func (s *kindSet) Set(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		k := kind(strings.TrimSpace(name))
		if !slices.Contains(kinds, k) {
			return fmt.Errorf("%q is none of %s", k, strings.Join(kindNames(), ", "))
		}
		if *s == nil {
			*s = kindSet{}
		}
		(*s)[k] = true
	}
	return nil
}

// rules decide what to report.
type rules struct {
	expiring, unused duration
	ignored          kindSet
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
	Findings []kind `json:"findings"`
}

func (f *finding) has(k kind) bool { return slices.Contains(f.Findings, k) }

// apply checks all tokens that still work. current is the ID of the one that the
// program uses.
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
func (r *rules) find(t *fastly.TokenResponse, inUse bool, now time.Time) (found []kind) {
	// A token that was never used counts from its creation: a new one is not
	// unused.
	lastUse := t.LastUsedAt
	if lastUse.IsZero() {
		lastUse = t.CreatedAt
	}
	for _, k := range kinds {
		var is bool
		switch k {
		case neverExpires:
			is = t.ExpiresAt.IsZero()
		case expiring:
			is = t.Expired(now.Add(time.Duration(r.expiring)))
		case unused:
			// A token without any date might be in use.
			is = !inUse && !lastUse.IsZero() && now.Sub(lastUse) >= time.Duration(r.unused)
		case global:
			is = t.Scopes.Has(fastly.ScopeGlobal)
		case allServices:
			is = len(t.Services) == 0
		}
		if is && !r.ignored[k] {
			found = append(found, k)
		}
	}
	return found
}
