package facts_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly/internal/facts"
)

const document = "../../docs/api.md"

var update = flag.Bool("update", false, "write "+document)

const introduction = `# How we know what the API does

This library, its test server and its documents rest on what is known of the Fastly Tokens API. **None of it has ever been
run against a live account.** Below, each fact appears once, with how it is known:

| Rank | Facts | |
|---|---|---|
%s
Where sources disagree, recordings outrank what clients do, which outranks the documentation; what is assumed comes last.

The sources are public: [the reference](https://www.fastly.com/documentation/reference/api/auth-tokens/user/);
[Fastly's Go client](https://github.com/fastly/go-fastly) with the traffic that its tests recorded (fastly/fixtures/tokens),
[its command-line tool](https://github.com/fastly/cli), its [Ruby client](https://github.com/fastly/fastly-ruby) and its
generated clients, such as [fastly-js](https://github.com/fastly/fastly-js); the npm package
[@adobe/fastly-native-promises](https://github.com/adobe/fastly-native-promises); programs that create tokens, and what their
users report.

Each fact has a check, over plain HTTP and without this library (package [internal/facts](../internal/facts)). The tests
check all of them on ` + "`fastlytest`" + `. Where this list is silent, that server refuses a request rather than make a token that can do
more than was asked for; the API may be less strict. Anyone with an account can check the facts on the real API:

    cd tools && GOWORK=off go run ./verify-api     # with an API key in FASTLY_API_TOKEN

That only reads. With ` + "`--write`" + ` it creates tokens for ten minutes and revokes them; ` + "`--help`" + ` says more. What it prints
at the end, with everything private replaced, is welcome in an issue: that is how a fact rises in rank, or leaves this list.

"Needs" is what a check can't do without; "writes" means that it makes, confirms or revokes a token, or tries to, and
"harms" that it runs on ` + "`fastlytest`" + ` only.
`

const rest = `
## What can't be checked from outside

- The API refuses TLS below 1.2. The test server speaks plain HTTP.
- That ` + "`limit_services`" + ` of an automation token, with no ` + "`services`" + `, means no service: only a use of the token shows that.
- Accounts with single sign-on: a 401 or 400 with ` + "`Fastly-SSO-Login-Url`" + `; ` + "`Fastly-OTP: setup`" + ` and ` + "`Fastly-Password: rotate`" + `.
- What is not the API at all: pages of load balancers, firewalls, proxies and portals, and errors of other forms
  (` + "`title`" + ` and ` + "`errors`" + `, JSON:API, RFC 9457) behind the same host.
- Lists in pages, which the API may introduce, as it did elsewhere: until then, no list has a ` + "`Link`" + ` to a next page.
- A 429 to a read, and a ` + "`Retry-After`" + `: reported, but not as a rule.
- That the rate limit is the customer's, that the API never redirects, that a one-time password works once, and that
  a reset of the password unlocks a user ([documented](https://www.fastly.com/documentation/guides/account-info/account-management/troubleshooting-your-login)).
- What scopes allow beyond tokens, such as purging: documented. How many tokens a bulk revoke may have: not known.
- How many IDs have 21 characters, and by how much ` + "`last_used_at`" + ` lags.

## Other clients on the test server

%s
`

const (
	conformanceStart = "<!-- conformance: the part down to the next comment is kept as it is -->"
	conformanceEnd   = "<!-- end of conformance -->"
)

// TestDocumentIsCurrent compares docs/api.md with the facts; with -update, it writes
// the document.
func TestDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	current, err := os.ReadFile(document)
	if !*update {
		require.NoError(t, err)
	}
	want := write(string(current))
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(want), 0o644)) //nolint:gosec // a document
		return
	}
	assert.Equal(t, want, string(current), "go test ./internal/facts -run Document -update")
}

// write returns the document. The part about conformance is that of the current one.
func write(current string) string {
	counts := map[facts.Rank]int{}
	var tables strings.Builder
	for _, g := range facts.Groups() {
		fmt.Fprintf(&tables, "\n## %s\n\n| | Fact | Rank | Source | Needs |\n|---|---|---|---|---|\n", g.Title)
		for _, f := range g.Facts {
			counts[f.By.Rank]++
			fmt.Fprintf(&tables, "| `%s` | %s | %s | %s | %s%s |\n",
				f.ID, f.Says, f.By.Rank, f.By.Name, f.Needs, [...]string{"", "; writes", "; harms"}[f.Effect])
		}
	}
	var ranks strings.Builder
	total := 0
	for _, r := range []struct {
		rank facts.Rank
		says string
	}{
		{facts.Recorded, "seen in traffic that was recorded against the real API"},
		{facts.InTheField, "what clients that work on the real API send or expect"},
		{facts.Documented, "what Fastly's documentation says"},
		{facts.Assumed, "the best inference"},
	} {
		fmt.Fprintf(&ranks, "| %s | %d | %s |\n", r.rank, counts[r.rank], r.says)
		total += counts[r.rank]
	}
	fmt.Fprintf(&ranks, "| all | %d | |\n", total)

	conformance := conformanceStart + "\n" + conformanceEnd
	start, end := strings.Index(current, conformanceStart), strings.Index(current, conformanceEnd)
	if 0 <= start && start < end {
		conformance = current[start : end+len(conformanceEnd)]
	}
	return fmt.Sprintf(introduction, ranks.String()) + tables.String() + fmt.Sprintf(rest, conformance)
}

func TestDocumentKeepsThePartAboutConformance(t *testing.T) {
	t.Parallel()
	const kept = conformanceStart + "\n| client | create |\n" + conformanceEnd
	assert.Contains(t, write("old text\n"+kept+"\nmore"), kept)
	assert.NotContains(t, write("old text\n"+kept+"\nmore"), "old text")
}

func TestFactsAreWellFormed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, g := range facts.Groups() {
		for _, f := range g.Facts {
			assert.Regexp(t, `^[a-z0-9-]+$`, f.ID)
			assert.False(t, seen[f.ID], "two facts have the ID %s", f.ID)
			seen[f.ID] = true
			assert.Regexp(t, "^[`A-Z][^|]*(\\.|\\.`)$", f.Says, "of %s: a sentence that a table can hold", f.ID)
			assert.NotEmpty(t, f.By.Name, f.ID)
			assert.NotNil(t, f.Check, f.ID)
			if f.Effect == facts.Harms {
				assert.NotZero(t, f.Needs&facts.Login|f.Needs&facts.Key, f.ID)
			}
		}
	}
	assert.GreaterOrEqual(t, len(seen), 60)
}

func TestChecksUseNothingOfThisModule(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file.Name(), "_test.go") || !strings.HasSuffix(file.Name(), ".go") {
			continue
		}
		source, err := os.ReadFile(file.Name())
		require.NoError(t, err)
		imports := regexp.MustCompile(`(?m)^(?:import)?\s+"([^" ]+)"$`).FindAllStringSubmatch(string(source), -1)
		assert.NotEmpty(t, imports, file.Name())
		for _, path := range imports {
			assert.NotContains(t, path[1], ".", "%s imports it", file.Name())
		}
	}
}
