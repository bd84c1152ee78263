package main

import (
	"encoding/csv"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func TestAuditMarksWhatItFinds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)

	o := s.run("audit")

	assert.Equal(t, exitFinding, o.code, o.err)
	assert.Regexp(t, `(?m)^0wKdJy4AtSn7ReXp9qGh2Z .* never! +14mo ago! +global! +every!$`, o.out)
	assert.Regexp(t, `(?m)^3tGqLw8ZnRb5XcVh1jKy7D .* in 8d! +2h ago +global! +every!$`, o.out)
	assert.Regexp(t, `(?m)^7rLoKw3CzVd6HxJf8iSp5E .* never! +never! +global:read +every!$`, o.out)
	assert.NotContains(t, o.out, "5sNpEx2UkYf9WdTa6mJv4G", "there is nothing to find")
	assert.Contains(t, o.out, "Findings (!) about 4 of 5 tokens:\n    3 never-expires\n    1 expiring\n    2 unused\n    3 global\n    4 all-services\n")
}

func TestAuditWithoutFindings(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	o := s.run("audit", "--ignore", "never-expires,expiring,unused", "--ignore", "global, all-services")
	assert.Equal(t, 0, o.code)
	assert.Equal(t, "Nothing found; tokens checked: 5.\n", o.out)
}

func TestAuditRulesFindEachKind(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	limited := fastly.TokenResponse{Scopes: fastly.Scopes{"purge_all"}, Services: []string{"A"}, CreatedAt: now.Add(-10 * day), ExpiresAt: now.Add(31 * day), LastUsedAt: now}
	r := rules{expiring: duration(30 * day), unused: duration(90 * day)}
	for name, tc := range map[string]struct {
		change func(*fastly.TokenResponse)
		want   []string
	}{
		"harmless":          {func(*fastly.TokenResponse) {}, nil},
		"no end":            {func(t *fastly.TokenResponse) { t.ExpiresAt = time.Time{} }, []string{neverExpires}},
		"ends in 30 days":   {func(t *fastly.TokenResponse) { t.ExpiresAt = now.Add(30 * day) }, []string{expiring}},
		"unused":            {func(t *fastly.TokenResponse) { t.LastUsedAt = now.Add(-90 * day) }, []string{unused}},
		"used a day before": {func(t *fastly.TokenResponse) { t.LastUsedAt = now.Add(-89 * day) }, nil},
		"never used, new":   {func(t *fastly.TokenResponse) { t.LastUsedAt = time.Time{} }, nil},
		"never used, old":   {func(t *fastly.TokenResponse) { t.LastUsedAt, t.CreatedAt = time.Time{}, now.Add(-91*day) }, []string{unused}},
		"no dates":          {func(t *fastly.TokenResponse) { t.LastUsedAt, t.CreatedAt = time.Time{}, time.Time{} }, nil},
		"global":            {func(t *fastly.TokenResponse) { t.Scopes = fastly.Scopes{"purge_all", "global"} }, []string{global}},
		"every service":     {func(t *fastly.TokenResponse) { t.Services = nil }, []string{allServices}},
	} {
		token := limited
		tc.change(&token)
		assert.Equal(t, tc.want, r.find(&token, false, now), name)
	}
	old := limited
	old.LastUsedAt = now.Add(-900 * day)
	assert.Empty(t, r.find(&old, true, now), "the token in use is not unused")

	gone, expired := limited, limited
	gone.DeletedAt, expired.ExpiresAt = now, now
	assert.Zero(t, r.apply([]fastly.TokenResponse{gone, expired}, "", now).Checked)
}

func TestAuditAsJSON(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	o := s.run("audit", "--json", "--customer", "self")
	assert.Equal(t, exitFinding, o.code)
	var rep struct {
		Checked int
		Tokens  []struct {
			ID       string
			Findings []string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(o.out), &rep))
	assert.Equal(t, 6, rep.Checked)
	require.Len(t, rep.Tokens, 5)
	assert.Equal(t, "0wKdJy4AtSn7ReXp9qGh2Z", rep.Tokens[0].ID, "the most findings first")
	assert.Equal(t, []string{"never-expires", "unused", "global", "all-services"}, rep.Tokens[0].Findings)
}

func TestAuditAsCSV(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	o := s.run("audit", "--csv")
	assert.Equal(t, exitFinding, o.code)
	rows, err := csv.NewReader(strings.NewReader(o.out)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 5)
	assert.Equal(t, "findings", rows[0][11])
	assert.Contains(t, o.out, "'=HYPERLINK(1)", "no formula")
	assert.NotContains(t, o.out, "\x1b")
}

func TestAuditMetricsAreForPrometheus(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	s := newSite(t, fastlytest.WithClock(func() time.Time { return now }))
	s.now = func() time.Time { return now }
	stock(s)
	s.AddToken(s.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		ID: "odd", Name: "a \"b\" \\ \nc", ExpiresAt: now.Add(90 * time.Minute), Scopes: fastly.Scopes{"purge_all", "purge_select"}, Services: []string{"A", "B"},
	}})

	o := s.run("audit", "--metrics")

	assert.Equal(t, 0, o.code, "findings are no failure of an exporter: %s", o.err)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(o.out))
	require.NoError(t, err, o.out)
	assert.ElementsMatch(t, slices.Collect(maps.Keys(families)), []string{
		"fastly_token_info", "fastly_token_created_timestamp_seconds", "fastly_token_expires_timestamp_seconds", "fastly_token_last_used_timestamp_seconds",
	})
	value := func(name, id string) (float64, map[string]string) {
		for _, m := range families[name].GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["id"] == id {
				return m.GetGauge().GetValue(), labels
			}
		}
		return -1, nil
	}
	at, labels := value("fastly_token_expires_timestamp_seconds", "odd")
	assert.InDelta(t, now.Add(90*time.Minute).Unix(), at, 0)
	assert.Equal(t, map[string]string{"id": "odd", "name": `a "b" \ \nc`, "user": s.User().ID}, labels)
	one, labels := value("fastly_token_info", "odd")
	assert.InDelta(t, 1, one, 0)
	assert.Equal(t, map[string]string{"id": "odd", "name": `a "b" \ \nc`, "user": s.User().ID, "scope": "purge_all purge_select", "services": "A B"}, labels)
	used, labels := value("fastly_token_last_used_timestamp_seconds", "0wKdJy4AtSn7ReXp9qGh2Z")
	assert.InDelta(t, now.Add(-423*day).Unix(), used, 0)
	assert.Equal(t, `laptop of Olga\x1b[2J`, labels["name"])
	never, _ := value("fastly_token_expires_timestamp_seconds", "0wKdJy4AtSn7ReXp9qGh2Z")
	assert.InDelta(t, -1, never, 0, "it never expires")
	never, _ = value("fastly_token_last_used_timestamp_seconds", "7rLoKw3CzVd6HxJf8iSp5E")
	assert.InDelta(t, -1, never, 0, "it was never used")
	created, _ := value("fastly_token_created_timestamp_seconds", "7rLoKw3CzVd6HxJf8iSp5E")
	assert.Positive(t, created)

	path := filepath.Join(s.dir, "fastly.prom")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	file := s.run("audit", "--metrics", "--out", path)
	assert.Equal(t, 0, file.code, file.err)
	assert.Empty(t, file.out)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, o.out, string(content))
	info, err := os.Stat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		assert.Equal(t, os.FileMode(0o644), info.Mode().Perm(), "the collector is another user")
	}
	left, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	assert.Len(t, left, 1)

	link := filepath.Join(s.dir, "link")
	require.NoError(t, os.Symlink(path, link))
	o = s.run("audit", "--metrics", "--out", link)
	assert.Equal(t, exitUsage, o.code)
	assert.Contains(t, o.err, "is not a regular file")
	info, err = os.Lstat(link)
	require.NoError(t, err)
	assert.Equal(t, os.ModeSymlink, info.Mode().Type(), "it is replaced, as /dev/null would be")
}

func TestAuditGoesByTheClockOfTheAPI(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-200 * day, 200 * day} {
		s := newSite(t)
		s.now = func() time.Time { return time.Now().Add(off) }
		used := s.AddToken(s.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
			Name: "used", LastUsedAt: time.Now().Add(-time.Hour), ExpiresAt: time.Now().Add(60 * day),
		}})
		o := s.run("audit", "--revoke-unused", "--yes", "--ignore", "global,all-services,never-expires")
		assert.Equal(t, 0, o.code, o.out)
		assert.Contains(t, o.err, "the clock of this machine is off by 7mo: times are compared with the API's instead\n")
		assert.False(t, isRevoked(t, s, used.ID))
	}
	s := newSite(t)
	assert.NotContains(t, s.run("audit").err, "clock")

	fresh := s.AddToken(s.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{CreatedAt: time.Now()}})
	s.opts = append(s.opts, fastly.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil {
			resp.Header.Set("Date", time.Now().Add(200*day).UTC().Format(http.TimeFormat))
		}
		return resp, err
	})}))
	o := s.run("audit", "--revoke-unused", "--yes")
	assert.Contains(t, o.err, "there is no unused token to revoke")
	assert.False(t, isRevoked(t, s, fresh.ID), "it is new by the clock of this machine")
}

func TestAuditRevokesUnusedTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	o := s.run("audit", "--ignore", "never-expires,global,all-services,expiring", "--revoke-unused", "--yes")
	assert.Equal(t, 0, o.code, "all that was found is revoked: %s", o.err)
	assert.Regexp(t, `(?m)^revoked +0wKdJy4AtSn7ReXp9qGh2Z  laptop of Olga\\x1b\[2J$`, o.out)
	assert.True(t, isRevoked(t, s, "0wKdJy4AtSn7ReXp9qGh2Z"))
	assert.True(t, isRevoked(t, s, "7rLoKw3CzVd6HxJf8iSp5E"))
	assert.False(t, isRevoked(t, s, "3tGqLw8ZnRb5XcVh1jKy7D"))

	o = s.run("audit", "--revoke-unused", "--yes", "--json")
	assert.Equal(t, exitFinding, o.code)
	assert.True(t, json.Valid([]byte(o.out)), "what was revoked is not among the JSON: %s", o.out)
}

func TestAuditRevokesNothingUnasked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	o := s.run("audit", "--revoke-unused")
	assert.Equal(t, exitUsage, o.code)
	assert.Contains(t, o.err, "--yes")
	for _, args := range [][]string{{"--yes"}, {"--out", "x"}, {"--revoke-unused", "--yes", "--ignore", "unused"}, {"--metrics", "--revoke-unused", "--yes"}} {
		assert.Equal(t, exitUsage, s.run(append([]string{"audit"}, args...)...).code, "%v", args)
	}
	assert.Empty(t, s.Requests())
}

func TestAuditOfUnusedTokensThatCannotBeRevoked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	s.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 403, Method: "DELETE", Times: -1})
	o := s.run("audit", "--revoke-unused", "--yes")
	assert.Equal(t, exitFailed, o.code)
	assert.Equal(t, 2, strings.Count(o.out, "failed "))
	assert.Contains(t, o.err, "403")
}

func TestAuditNeverRevokesTheTokenItUses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Advance(1000 * day)
	s.now = func() time.Time { return time.Now().Add(1000 * day) }
	stock(s)
	o := s.run("audit", "--unused", "1ms", "--revoke-unused", "--yes")
	assert.Equal(t, exitFinding, o.code)
	assert.False(t, isRevoked(t, s, s.Tokens()[0].ID))
	assert.True(t, isRevoked(t, s, "5sNpEx2UkYf9WdTa6mJv4G"))
}

func TestDurationsAreInDaysOrHours(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"30d": "30d", "36h": "1d12h", "90m": "1h30m", "1h0m0s": "1h", "0d": "0", "1000d": "1000d", "72h": "3d", "50ms": "50ms"} {
		var d duration
		require.NoError(t, d.Set(text), text)
		assert.Equal(t, want, d.String(), text)
	}
	for _, text := range []string{"", "d", "-1d", "-1h", "NaNd", "Infd", "1x", "soon", "5", "-99999999h"} {
		assert.ErrorContains(t, new(duration).Set(text), `want a time such as "30d" or "36h"`, text)
	}
	for _, text := range []string{"99999d", "36501d", "900000h", "99999999999h"} {
		assert.ErrorContains(t, new(duration).Set(text), "too long: at most 36500d", text)
	}
}
