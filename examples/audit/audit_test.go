package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
	"github.com/fastly-tokens/fastly/examples/internal/demo/demotest"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func TestMain(m *testing.M) { demotest.Main(m) }

const day = 24 * time.Hour

// result is what a run of the program left.
type result struct {
	code        int
	out, stderr string
}

// at runs the program with srv as the real API. typed is what is typed at a
// terminal; nil: there is none.
func at(ctx context.Context, srv *fastlytest.Server, typed io.Reader, args ...string) result {
	var out, errs bytes.Buffer
	a := audit{
		connect: demo.To(srv, demotest.Impatient()), credentials: true,
		isTerminal: func(any) bool { return typed != nil },
		stdin:      typed, stdout: &out, stderr: &errs,
	}
	code := a.run(ctx, args)
	return result{code, out.String(), errs.String()}
}

func names(srv *fastlytest.Server) (revoked []string) {
	for _, token := range srv.Tokens() {
		if !token.DeletedAt.IsZero() {
			revoked = append(revoked, token.Name)
		}
	}
	slices.Sort(revoked)
	return revoked
}

// unusedNames are the demo's tokens that were not used for 90 days.
var unusedNames = []string{"Müllers Skript", "laptop of Olga", "old-jenkins", "purge from chat"}

func TestFind(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	r := rules{expiring: demo.Duration(30 * day), unused: demo.Duration(90 * day)}
	fine := fastly.TokenResponse{
		Scopes: fastly.Scopes{fastly.ScopePurgeAll}, Services: []string{"a"},
		CreatedAt: now.Add(-200 * day), LastUsedAt: now.Add(-90*day + time.Second), ExpiresAt: now.Add(30*day + time.Second),
	}
	for name, tt := range map[string]struct {
		change func(*fastly.TokenResponse)
		inUse  bool
		want   []kind
	}{
		"nothing":             {func(*fastly.TokenResponse) {}, false, nil},
		"never expires":       {func(t *fastly.TokenResponse) { t.ExpiresAt = time.Time{} }, false, []kind{neverExpires}},
		"expires on the dot":  {func(t *fastly.TokenResponse) { t.ExpiresAt = now.Add(30 * day) }, false, []kind{expiring}},
		"unused on the dot":   {func(t *fastly.TokenResponse) { t.LastUsedAt = now.Add(-90 * day) }, false, []kind{unused}},
		"never used":          {func(t *fastly.TokenResponse) { t.LastUsedAt = time.Time{} }, false, []kind{unused}},
		"new, not used yet":   {func(t *fastly.TokenResponse) { t.LastUsedAt, t.CreatedAt = time.Time{}, now }, false, nil},
		"no dates":            {func(t *fastly.TokenResponse) { t.LastUsedAt, t.CreatedAt = time.Time{}, time.Time{} }, false, nil},
		"the program's own":   {func(t *fastly.TokenResponse) { t.LastUsedAt = time.Time{} }, true, nil},
		"global among others": {func(t *fastly.TokenResponse) { t.Scopes = append(t.Scopes, fastly.ScopeGlobal) }, false, []kind{global}},
		"global:read":         {func(t *fastly.TokenResponse) { t.Scopes = fastly.Scopes{fastly.ScopeGlobalRead} }, false, nil},
		"all services":        {func(t *fastly.TokenResponse) { t.Services = nil }, false, []kind{allServices}},
		"several": {func(t *fastly.TokenResponse) {
			*t = fastly.TokenResponse{CreatedAt: now.Add(-91 * day), Scopes: fastly.Scopes{fastly.ScopeGlobal}}
		}, false, []kind{neverExpires, unused, global, allServices}},
	} {
		token := fine
		token.Scopes = slices.Clone(fine.Scopes)
		tt.change(&token)
		assert.Equal(t, tt.want, r.find(&token, tt.inUse, now), name)
		r := rules{expiring: r.expiring, unused: r.unused, ignored: kindSet{neverExpires: true, expiring: true, unused: true, global: true, allServices: true}}
		assert.Empty(t, r.find(&token, tt.inUse, now), "%s, ignored", name)
	}
}

func TestDeadTokensAreNotLookedAt(t *testing.T) {
	t.Parallel()
	now := time.Now()
	rep := new(rules).apply([]fastly.TokenResponse{{ID: "a", ExpiresAt: now}, {ID: "b", DeletedAt: now}, {ID: "c"}}, "", now)
	assert.Equal(t, 1, rep.Checked)
	require.Len(t, rep.Tokens, 1)
	assert.Equal(t, "c", rep.Tokens[0].ID)
}

func TestTableOfTheUser(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	res := at(t.Context(), srv, nil)
	assert.Equal(t, exitFindings, res.code, "stderr: %s", res.stderr)
	assert.Regexp(t, `terraform-prod +in 8 days! +2 hours ago +global! +every!`, res.out)
	assert.NotContains(t, res.out, "www-purge", "a token with no findings")
	assert.NotContains(t, res.out, "old-jenkins", "a token of another user")
	assert.Contains(t, res.out, "Findings (!) about 4 of 5 tokens:")
	assert.NotContains(t, res.out, "\x1b")
	demotest.AssertFits(t, 100, res.out)
	demotest.AssertNoSecret(t, srv, res.out, res.stderr)
	for _, r := range srv.Requests() {
		assert.Equal(t, http.MethodGet, r.Method)
	}
}

func TestTableOfACustomerIsGroupedByUser(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	for _, customer := range []string{"self", srv.User().CustomerID} {
		res := at(t.Context(), srv, nil, "-customer", customer)
		assert.Equal(t, exitFindings, res.code, "stderr: %s", res.stderr)
		assert.Equal(t, 4, strings.Count(res.out, "\nuser "), "one heading for each user: %s", res.out)
		assert.Contains(t, res.out, "user "+demo.Ada().ID+"\n7rLoKw3CzVd6HxJf8iSp5E  old-jenkins ")
		demotest.AssertFits(t, 100, res.out)
	}
}

func TestNothingFound(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	ignored := []string{"-ignore", "never-expires,unused, global", "-ignore=all-services", "-expiring", "1h"}
	res := at(t.Context(), srv, nil, ignored...)
	assert.Equal(t, exitClean, res.code, "stderr: %s", res.stderr)
	assert.Equal(t, "Nothing found; tokens checked: 5.\n", res.out)

	res = at(t.Context(), srv, nil, append(ignored, "-json")...)
	assert.Equal(t, exitClean, res.code)
	assert.JSONEq(t, `{"checked":5,"tokens":[]}`, res.out)
}

func TestJSON(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	hostile := "\x1b]0;x\a\u009b2J\u202e\U000e0001 \"quoted\" ü"
	srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: "hostile", Name: hostile}})
	res := at(t.Context(), srv, nil, "-json")
	assert.Equal(t, exitFindings, res.code, "stderr: %s", res.stderr)
	for _, r := range "\x1b\u009b\u202e\U000e0001" {
		assert.NotContains(t, res.out, string(r), "%U is not escaped", r)
	}
	var got report
	require.NoError(t, json.Unmarshal([]byte(res.out), &got))
	assert.Equal(t, 6, got.Checked)
	i := slices.IndexFunc(got.Tokens, func(f finding) bool { return f.ID == "hostile" })
	require.GreaterOrEqual(t, i, 0)
	assert.Equal(t, hostile, got.Tokens[i].Name, "what is escaped reads the same")
	assert.Equal(t, []kind{neverExpires, global, allServices}, got.Tokens[i].Findings)
	demotest.AssertNoSecret(t, srv, res.out)
}

func TestCSV(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	services := make([]string, 200)
	for i := range services {
		services[i] = demo.ServiceAPI
	}
	srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		ID: "hostile", Name: "=HYPERLINK(\"http://x\",\"y\")\x1b[31m,\r\nnext", Services: services,
		IP: "203.0.113.9", UserAgent: "@agent\x1b/1",
	}})
	res := at(t.Context(), srv, nil, "-csv")
	assert.Equal(t, exitFindings, res.code, "stderr: %s", res.stderr)
	assert.NotContains(t, res.out, "\x1b")
	rows, err := csv.NewReader(strings.NewReader(res.out)).ReadAll()
	require.NoError(t, err)
	assert.Equal(t, []string{"id", "name", "user_id", "customer_id", "scope", "services", "created_at", "expires_at", "last_used_at", "ip", "user_agent", "findings"}, rows[0])
	i := slices.IndexFunc(rows, func(row []string) bool { return row[0] == "hostile" })
	require.Positive(t, i)
	assert.Equal(t, `'=HYPERLINK("http://x","y")\x1b[31m,\r\nnext`, rows[i][1])
	assert.Len(t, rows[i][5], 200*23-1, "services are cut")
	assert.Equal(t, []string{"203.0.113.9", `'@agent\x1b/1`, "never-expires global"}, rows[i][9:])
	demotest.AssertNoSecret(t, srv, res.out)
}

func TestCell(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":        "",
		"name":    "name",
		"a=b":     "a=b",
		"=1+1":    "'=1+1",
		"+1":      "'+1",
		"-1":      "'-1",
		"@SUM(1)": "'@SUM(1)",
		"  =1":    "'  =1",
		"＝1":      "'＝1",
		"\t=1":    `\t=1`,
		"\r=1":    `\r=1`,
	} {
		assert.Equal(t, want, cell(in))
	}
}

func TestHostileNamesKeepTheTableWhole(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		Name: "a\n\x1b[2J" + strings.Repeat("鍵", 300),
	}})
	res := at(t.Context(), srv, strings.NewReader("no\n"), "-unused", "0d", "-revoke-unused")
	assert.Equal(t, exitFindings, res.code)
	for _, text := range []string{res.out, res.stderr} {
		assert.NotContains(t, text, "\x1b")
		assert.Contains(t, text, `a\n\x1b[2J`)
		demotest.AssertFits(t, 100, text)
	}
}

func TestRevokeUnusedAfterYes(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	res := at(t.Context(), srv, strings.NewReader("yes\n"), "-customer", "self", "-revoke-unused")
	assert.Equal(t, exitFindings, res.code, "the other findings are left; stderr: %s", res.stderr)
	assert.Equal(t, unusedNames, names(srv))
	assert.Contains(t, res.stderr, "Type yes to revoke 4: ")
	for _, name := range unusedNames {
		assert.Regexp(t, "revoked +[0-9A-Za-z]{22}  "+name, res.out)
	}
	deletes := 0
	for _, r := range srv.Requests() {
		if r.Method == http.MethodDelete {
			deletes++
		}
	}
	assert.Equal(t, 1, deletes, "in bulk")
	demotest.AssertNoSecret(t, srv, res.out, res.stderr)
}

func TestRevokeUnusedWithoutQuestions(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	res := at(t.Context(), srv, nil, "-customer", "self", "-revoke-unused", "-yes", "-json",
		"-ignore", "never-expires,expiring,global,all-services")
	assert.Equal(t, exitClean, res.code, "all that was found is gone; stderr: %s", res.stderr)
	assert.Equal(t, unusedNames, names(srv))
	assert.Equal(t, 4, strings.Count(res.stderr, "revoked "))
	assert.True(t, json.Valid([]byte(res.out)), "stdout is not JSON alone: %s", res.out)
}

func TestOwnTokenIsNeverRevoked(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	res := at(t.Context(), srv, nil, "-customer", "self", "-unused", "0d", "-revoke-unused", "-yes")
	assert.Equal(t, exitFindings, res.code, "stderr: %s", res.stderr)
	assert.Len(t, names(srv), 12)
	assert.NotContains(t, names(srv), "default")
}

func TestRevokeUnusedIsDeclined(t *testing.T) {
	t.Parallel()
	for _, typed := range []string{"", "\n", "y\n", "no\n"} {
		srv := demotest.Start(t)
		res := at(t.Context(), srv, strings.NewReader(typed), "-revoke-unused")
		assert.Equal(t, exitFindings, res.code, "typed %q", typed)
		assert.Contains(t, res.out, "Nothing was revoked.")
		assert.Empty(t, names(srv))
	}
}

func TestRevokeUnusedWithNothingToRevoke(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	res := at(t.Context(), srv, strings.NewReader("yes\n"), "-revoke-unused", "-unused", "9999d")
	assert.Equal(t, exitFindings, res.code)
	assert.Contains(t, res.out, "No unused token to revoke.")
	assert.Empty(t, res.stderr, "it asked")
}

func TestRevokeUnusedRefusesWithoutTerminal(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	res := at(t.Context(), srv, nil, "-revoke-unused")
	assert.Equal(t, exitError, res.code)
	assert.Contains(t, res.stderr, "-yes")
	assert.Empty(t, srv.Requests())
}

// typist answers yes, after something else has happened.
type typist struct{ before func() }

func (ty typist) Read(b []byte) (int, error) {
	ty.before()
	return copy(b, "yes\n"), io.EOF
}

func TestTokenUsedWhileAskedIsSpared(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	use := func() {
		for _, token := range srv.Tokens() {
			if token.Name == "laptop of Olga" {
				_, err := srv.Client(fastly.WithAPIKey(token.AccessToken.Reveal())).Tokens.GetTokenCurrent(t.Context())
				assert.NoError(t, err)
			}
		}
	}
	res := at(t.Context(), srv, typist{use}, "-customer", "self", "-revoke-unused")
	assert.Equal(t, exitFindings, res.code)
	assert.Equal(t, []string{"Müllers Skript", "old-jenkins", "purge from chat"}, names(srv))
}

func TestInterruptAtTheQuestionRevokesNothing(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdin, keyboard := io.Pipe()
	defer func() { assert.NoError(t, keyboard.Close()) }()
	var out bytes.Buffer
	stderr := writerFunc(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte("Type yes")) {
			cancel()
		}
		return len(b), nil
	})
	a := audit{connect: demo.To(srv), credentials: true, isTerminal: func(any) bool { return true }, stdin: stdin, stdout: &out, stderr: stderr}
	assert.Equal(t, demo.ExitInterrupted, a.run(ctx, []string{"-revoke-unused"}))
	assert.Empty(t, names(srv))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestBulkRevokeThatFails(t *testing.T) {
	t.Parallel()
	args := []string{"-customer", "self", "-revoke-unused", "-yes"}
	refused := fastlytest.Fault{Kind: fastlytest.Status, Status: 400, Method: http.MethodDelete, Times: -1}
	for name, tt := range map[string]struct {
		faults  []fastlytest.Fault
		code    int
		says    string
		revoked int
	}{
		"refused":      {[]fastlytest.Fault{refused}, exitError, "not revoked  ", 0},
		"answers lost": {[]fastlytest.Fault{{Kind: fastlytest.CutAfter, Method: http.MethodDelete, Times: -1}}, exitFindings, "gone  ", 4},
		"refused, and the list after it fails": {[]fastlytest.Fault{
			refused,
			{Kind: fastlytest.Delay, Path: "/customer/*"}, // the first list is as ever
			{Kind: fastlytest.Status, Status: 500, Path: "/customer/*", Times: -1},
		}, exitError, "unknown  ", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := demotest.Start(t)
			for _, f := range tt.faults {
				srv.Inject(f)
			}
			res := at(t.Context(), srv, nil, args...)
			assert.Equal(t, tt.code, res.code, "stderr: %s", res.stderr)
			assert.Equal(t, 4, strings.Count(res.out, "\n"+tt.says), "each token is reported: %s", res.out)
			assert.Len(t, names(srv), tt.revoked)
			assert.Equal(t, tt.code == exitError, strings.HasPrefix(res.stderr, "audit: fastly: DELETE /tokens"), "stderr: %s", res.stderr)
		})
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"-customer", "someoneElse"}, "superuser"},
		{[]string{"-customer", "not/an/id"}, "letters and digits"},
		{[]string{"-ignore", "typo"}, "never-expires, expiring"},
		{[]string{"-expiring", "30"}, "want a duration"},
		{[]string{"-unused", "-1d"}, "want a duration"},
		{[]string{"-json", "-csv"}, "exclude"},
		{[]string{"-yes"}, "-revoke-unused"},
		{[]string{"-revoke-unused", "-yes", "-ignore", "unused"}, "exclude"},
		{[]string{"word"}, "word"},
	} {
		res := at(t.Context(), srv, nil, tt.args...)
		assert.Equal(t, exitError, res.code, "%v", tt.args)
		assert.Contains(t, res.stderr, tt.says, "%v", tt.args)
		assert.Equal(t, 1, strings.Count(res.stderr, "\n"), "want one line: %s", res.stderr)
		assert.Empty(t, res.out, "%v", tt.args)
	}
}

func TestFailuresOfTheAPIAreErrors(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/tokens/self", "/tokens"} {
		srv := demotest.Start(t)
		srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 500, Times: -1, Path: path})
		res := at(t.Context(), srv, nil)
		assert.Equal(t, exitError, res.code)
		assert.Contains(t, res.stderr, "audit: fastly: GET "+path+": 500")
		assert.Empty(t, res.out)
	}
}

func TestOutputThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"-json", "-csv", "-json=false"} {
		srv := demotest.Start(t)
		var errs bytes.Buffer
		full := writerFunc(func([]byte) (int, error) { return 0, errors.New("disk full") })
		a := audit{connect: demo.To(srv), credentials: true, isTerminal: demo.IsTerminal, stdout: full, stderr: &errs}
		assert.Equal(t, exitError, a.run(t.Context(), []string{format, "-revoke-unused", "-yes"}))
		assert.Contains(t, errs.String(), "disk full")
		assert.Empty(t, names(srv), "revoked although the report could not be written")
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	assert.Equal(t, 0, run(t.Context(), []string{"-h"}, nil, &out, &errs))
	demotest.AssertHelp(t, out.String(), "audit", "-revoke-unused")
	assert.Contains(t, out.String(), `audit every token of this customer ID ("self": your own); default: only your user's tokens`)
	assert.Empty(t, errs.String())
}

func TestMadeUpTokensAreNoResultUnlessAskedFor(t *testing.T) {
	t.Parallel()
	for _, named := range [][]string{{"-json"}, {"-csv"}, {"-revoke-unused", "-yes"}, {"-customer", "self"}} {
		run := func(args ...string) result {
			var out, errs bytes.Buffer
			a := audit{connect: demo.Client, isTerminal: demo.IsTerminal, stdout: &out, stderr: &errs}
			return result{a.run(t.Context(), args), out.String(), errs.String()}
		}
		res := run(append(named, "-expiring", "1h")...)
		assert.Equal(t, exitError, res.code, "%v", named)
		assert.Empty(t, res.out, "%v", named)
		assert.Equal(t, "audit: there are no credentials: set FASTLY_API_TOKEN, or give -demo for made-up tokens\n", res.stderr, "%v", named)

		res = run(append(named, "-demo")...)
		assert.Equal(t, exitFindings, res.code, "%v: %s", named, res.stderr)
		assert.NotEmpty(t, res.out, "%v", named)
	}
}

func TestConclusionCountsInGoodEnglish(t *testing.T) {
	t.Parallel()
	r := rules{expiring: demo.Duration(30 * day), unused: demo.Duration(36 * time.Hour)}
	one := report{Checked: 1, Tokens: []finding{{Findings: kinds}}}
	assert.Equal(t, "Findings (!) about 1 of 1 token:\n    1 never expires\n    1 expires within 30d\n    1 was not used for 36h\n"+
		"    1 has the scope global\n    1 reaches every service", conclusion(one, &r))
	two := report{Checked: 3, Tokens: append(one.Tokens, one.Tokens...)}
	assert.Equal(t, "Findings (!) about 2 of 3 tokens:\n    2 never expire\n    2 expire within 30d\n    2 were not used for 36h\n"+
		"    2 have the scope global\n    2 reach every service", conclusion(two, &r))
}

func TestProcess(t *testing.T) {
	t.Parallel()
	binary := demotest.Build(t)

	t.Run("demo", func(t *testing.T) {
		t.Parallel()
		p := demotest.Command(t, nil, binary)
		assert.Equal(t, exitFindings, p.Code(t), "stderr: %s", p.Err.String())
		assert.Contains(t, p.Err.String(), "embedded server")
		assert.Contains(t, p.Out.String(), "terraform-prod")
		assert.NotContains(t, p.Out.String(), "\x1b", "a colour in what is no terminal")
	})

	t.Run("CI", func(t *testing.T) {
		t.Parallel()
		srv := demotest.Start(t)
		p := demotest.Command(t, srv, binary, "-revoke-unused")
		assert.Equal(t, exitError, p.Code(t), "stdin is /dev/null")
		assert.Empty(t, names(srv))

		p = demotest.Command(t, srv, binary, "-revoke-unused", "-yes")
		assert.Equal(t, exitFindings, p.Code(t), "stderr: %s", p.Err.String())
		assert.Equal(t, []string{"laptop of Olga"}, names(srv))
		demotest.AssertNoSecret(t, srv, p.Out.String(), p.Err.String())
	})
}
