//go:build unix

package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// go test -run TestDocs -update writes docs/tool.md.
var update = flag.Bool("update", false, "write the documents that the tests compare with")

const docPath = "../../docs/tool.md"

const docHead = `# fastly-token

The command-line tool: its help, and a session of each command. All of it is
output of the program, with constants for what differs from run to run: secrets,
new IDs, times, paths, ports and versions. A test compares this file with the
program, and ` + "`go test ./cmd/fastly-token -run TestDocs -update`" + ` rewrites it.

    go install ./cmd/fastly-token # in a checkout: it is not published yet

The sessions have a terminal of 80 columns, and an environment with
FASTLY_API_TOKEN, FASTLY_USERNAME and FASTLY_PASSWORD_FILE.
`

func TestDocsShowWhatTheProgramDoes(t *testing.T) {
	t.Parallel()
	d := newDocs(t)
	d.text.WriteString(docHead)
	d.text.WriteString("\n## Commands\n")
	d.session([]string{"help"})

	d.section("whoami")
	d.session([]string{"whoami"}, []string{"whoami", "--require", "purge_all:" + serviceA, "--valid-for", "7d", "--json"})
	d.set(varToken, d.purge)
	d.session([]string{"whoami", "--require", "purge_all", "--valid-for", "365d"})
	d.set(varToken, "")
	d.session([]string{"whoami"})
	d.set(varToken, d.key)

	d.section("list")
	d.session([]string{"list"}, []string{"list", "--customer", "self"})

	d.section("get")
	d.session([]string{"get", oldID}, []string{"get", "0000000000000000000000"})

	d.section("audit")
	d.session([]string{"audit"}, []string{"audit", "--customer", "self", "--ignore", "global,all-services,expiring", "--revoke-unused", "--yes"})
	d.text.WriteString("\nIn a terminal of 40 columns:\n")
	d.set("COLUMNS", "40")
	d.session([]string{"audit", "--customer", "self", "--ignore", "all-services,expiring,never-expires"})
	d.set("COLUMNS", "80")

	d.section("create")
	d.session(
		[]string{"create", "--name", "deploy", "--scope", "purge_select,purge_all", "--service", serviceA, "--ttl", "30d", "--out", filepath.Join(d.dir, "deploy-token")},
		[]string{"create", "--print", "--ttl", "12h"},
	)

	d.section("rotate")
	d.session(
		[]string{"rotate", oldID, "--grace", "10m", "--no-wait", "--out", filepath.Join(d.dir, "www-purge-token")},
		[]string{"rotate", "2hXaQs9FgPj4TnUy7bMe0V", "--state", filepath.Join(d.dir, "state"), "--", "sh", "-c", "wc -c >&2"},
	)

	d.section("exec")
	d.session([]string{"exec", "--scope", "purge_select", "--service", serviceA, "--", "sh", "-c", "echo purging with an API key of ${#FASTLY_API_TOKEN} characters"})

	d.section("revoke")
	d.session([]string{"revoke", "8bCzMi6QoHr3VgLs0xFu1P"}, []string{"revoke", "1mYtGb5RqNu0WkAe4vZh9J", "0000000000000000000000"})

	d.section("serve")
	d.session([]string{"serve"}, []string{"serve", "--json"})

	d.section("completion")
	d.session([]string{"--version"})

	got := d.String()
	if *update {
		require.NoError(t, os.WriteFile(docPath, []byte(got), 0o644)) //nolint:gosec // a document
	}
	want, err := os.ReadFile(docPath)
	require.NoError(t, err)
	wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(wantLines), len(gotLines)) { // not the whole text, twice
		require.Equal(t, wantLines[i], gotLines[i], "line %d of docs/tool.md is not what the program shows: run this test with -update", i+1)
	}
	require.Len(t, gotLines, len(wantLines), "docs/tool.md has not all that the program shows: run this test with -update")
}

// docs is the document and the site that its sessions run against.
type docs struct {
	*site
	start      time.Time
	key, purge string
	text       bytes.Buffer
}

func newDocs(t *testing.T) *docs {
	start := time.Now().Truncate(time.Second)
	clock := func() time.Time { return start }
	d := &docs{site: newSite(t, fastlytest.WithClock(clock)), start: start}
	d.now = clock
	const customer = "3xAkp8JtCw0RzUe6nQv2Hb"
	olga := d.AddUser(fastlytest.User{ID: "7bNq4XfWz1LtRv9KcEy3Ms", CustomerID: customer, Login: "olga@example.com", Password: "a made-up password", Superuser: true})
	grace := d.AddUser(fastlytest.User{ID: "9cVzPq5NdGx8JuTf3oRk6B", CustomerID: customer, Login: "grace@example.com"})
	add := func(user fastlytest.User, id, name string, scope fastly.Scope, services []string, age, left, idle time.Duration) string {
		token := fastly.TokenResponse{ID: id, Name: name, Scopes: fastly.ParseScopes(string(scope)), Services: services, CreatedAt: start.Add(-age), IP: "203.0.113.17", UserAgent: "made-up/1.0"}
		if left > 0 {
			token.ExpiresAt = start.Add(left)
		}
		if idle > 0 {
			token.LastUsedAt = start.Add(-idle)
		}
		return d.AddToken(user.ID, fastly.TokenCreatedResponse{TokenResponse: token}).AccessToken.Reveal()
	}
	d.key = add(olga, "6tWmRz2HkVp0XbQn8sLd4J", "olga", "global", nil, 3*day, 27*day, 0)
	add(olga, "3tGqLw8ZnRb5XcVh1jKy7D", "terraform-prod", "global", nil, 82*day, 8*day, 2*time.Hour)
	add(olga, oldID, "www-purge", "purge_select", []string{serviceA}, 27*day, 153*day, 4*time.Minute)
	add(olga, "8bCzMi6QoHr3VgLs0xFu1P", "metrics-export", "global:read", nil, 611*day, 0, 3*time.Minute)
	add(olga, "0wKdJy4AtSn7ReXp9qGh2Z", "laptop of Olga", "global", nil, 1034*day, 0, 423*day)
	add(olga, "2hXaQs9FgPj4TnUy7bMe0V", "backup", "global:read", []string{serviceA, serviceB}, 64*day, 26*day, 22*time.Hour)
	d.purge = add(olga, "1mYtGb5RqNu0WkAe4vZh9J", "image-purge", "purge_all", []string{serviceB}, 28*day, 62*day, 9*time.Minute)
	add(grace, "0jWmUp7KfXi4CbLo8qVg6T", "purge from chat", "purge_select purge_all", []string{serviceA}, 772*day, 0, 391*day)
	d.set(varToken, d.key)
	d.set("COLUMNS", "80")
	d.logIn(olga)
	return d
}

func (d *docs) section(command string) {
	d.text.WriteString("\n## " + command + "\n")
	d.session([]string{command, "--help"})
}

// session runs commands, and writes what a terminal would show.
func (d *docs) session(commands ...[]string) {
	d.text.WriteString("\n```console\n")
	for i, args := range commands {
		if i > 0 {
			d.text.WriteByte('\n')
		}
		d.run(args)
	}
	d.text.WriteString("```\n")
}

func (d *docs) run(args []string) {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = arg
		if strings.ContainsAny(arg, " $&") {
			quoted[i] = "'" + arg + "'"
		}
	}
	d.text.WriteString("$ fastly-token " + strings.Join(quoted, " ") + "\n")
	var screen bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &screen, stderr: &screen}
	if args[0] == "serve" {
		signals := make(chan os.Signal, 1)
		a.signals, a.stdout = signals, writerFunc(func(b []byte) (int, error) { signals <- syscall.SIGINT; return screen.Write(b) })
	}
	o := d.runWith(a, args...)
	d.text.Write(screen.Bytes())
	if o.code != 0 {
		fmt.Fprintf(&d.text, "$ echo $?\n%d\n", o.code)
	}
}

// String returns the document, with constants instead of what is random or depends
// on the time.
func (d *docs) String() string {
	text := strings.ReplaceAll(d.text.String(), d.dir+string(filepath.Separator), "")
	for i, token := range d.Tokens()[9:] {
		text = strings.ReplaceAll(text, token.ID, fmt.Sprintf("%dRnDfKbWq7TzLpXs3VmHc0", i))
		text = strings.ReplaceAll(text, token.AccessToken.Reveal(), "made-up-access-token-of-32-chars")
		text = strings.ReplaceAll(text, token.Name[strings.LastIndexByte(token.Name, '['):], fmt.Sprintf("[r-%dABCDEFGHI]", i))
	}
	text = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`).ReplaceAllStringFunc(text, func(stamp string) string {
		at, err := time.Parse(time.RFC3339, stamp)
		require.NoError(d.t, err)
		return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).Add(at.Sub(d.start).Round(time.Minute)).Format(time.RFC3339)
	})
	text = regexp.MustCompile(`(timestamp_seconds\{.*\} )(\S+)`).ReplaceAllStringFunc(text, func(line string) string {
		labels, value, _ := strings.Cut(line, "} ")
		seconds, err := strconv.ParseFloat(value, 64)
		require.NoError(d.t, err)
		at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).Add(time.Unix(int64(seconds), 0).Sub(d.start))
		return fmt.Sprintf("%s} %g", labels, float64(at.Unix()))
	})
	text = regexp.MustCompile(`fastly-token/\S+ [^\s"]+`).ReplaceAllString(text, "fastly-token/v0.2.0")
	text = regexp.MustCompile(`(?m)^fastly-token devel\S*$`).ReplaceAllString(text, "fastly-token v0.2.0")
	text = regexp.MustCompile(`http://127\.0\.0\.1:\d+`).ReplaceAllString(text, "http://127.0.0.1:34567")
	text = regexp.MustCompile(`("?(?:Password|password)"?:?\s+"?)[A-Za-z0-9]{22}`).ReplaceAllString(text, "${1}made-up-password-22-ch")
	return regexp.MustCompile(`("?(?:API key|api_key)"?:?\s+"?)[\w-]{32}`).ReplaceAllString(text, "${1}made-up-access-token-of-32-chars")
}
