// Package conformance_test performs the eight operations on the in-memory server
// with clients that others wrote, and lets each meet an error of every status.
package conformance_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly/fastlytest"
)

var (
	npm    = flag.Bool("npm", false, "install the clients with npm and run them")
	update = flag.Bool("update", false, "write the table to docs/api.md")
)

// rows are the operations, and a status of an error each.
var rows = []string{
	"CreateToken", "GetToken", "GetTokenCurrent", "ListTokensUser", "ListTokensCustomer",
	"BulkRevokeTokens", "RevokeToken", "RevokeTokenCurrent",
	"error 400", "error 401", "error 403", "error 404", "error 422", "error 429", "error 503",
}

// result is what a client's script prints: how it did each of the rows.
type result struct {
	Name, Version string
	Cells         map[string]string
}

func TestForeignClients(t *testing.T) {
	if !*npm {
		t.Skip("needs node and a registry: run with -npm, or .ci/conformance")
	}
	dir := install(t)
	var results []result
	for _, script := range []string{"fastly.mjs", "adobe.mjs"} {
		r := perform(t, filepath.Join(dir, script))
		for _, row := range rows {
			assert.Contains(t, r.Cells, row, "%s could not", r.Name)
		}
		t.Logf("%s %s: %d of %d", r.Name, r.Version, len(r.Cells), len(rows))
		results = append(results, r)
	}
	require.False(t, t.Failed())
	compare(t, filepath.Join("..", "..", "docs", "api.md"), table(results))
}

// install installs the clients in a temporary folder, or skips the test.
func install(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("not run: there is no %s", program)
		}
	}
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(".")))
	cmd := exec.Command("npm", "install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("not run: npm can't install the clients: %.500s", out)
	}
	return dir
}

// perform runs a client's script against servers of its own.
func perform(t *testing.T, script string) result {
	t.Helper()
	srv := fastlytest.NewServer()
	defer srv.Close()
	broken := fastlytest.NewServer(fastlytest.WithRateLimit(1))
	defer broken.Close()
	broken.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 503, Method: "GET", Times: -1})
	var out, errors bytes.Buffer
	cmd := exec.Command("node", script)
	cmd.Stdout, cmd.Stderr = &out, &errors
	cmd.Env = append(os.Environ(),
		"FASTLY_API_TOKEN=", // clients use it by default, and it may be real
		"TEST_URL="+srv.URL, "TEST_KEY="+srv.Key().Reveal(),
		"TEST_LOGIN="+srv.User().Login, "TEST_PASSWORD="+srv.User().Password,
		"TEST_USER="+srv.User().ID, "TEST_CUSTOMER="+srv.User().CustomerID,
		"TEST_BROKEN_URL="+broken.URL, "TEST_BROKEN_KEY="+broken.Key().Reveal(),
	)
	assert.NoError(t, cmd.Run(), "%s", &errors)
	var r result
	require.NoError(t, json.Unmarshal(out.Bytes(), &r), "%s%s", &out, &errors)
	return r
}

// table returns what the clients did in Markdown.
func table(results []result) string {
	var b strings.Builder
	b.WriteString("The gate performs the eight operations with two clients that others wrote, and lets each meet an error of every\n" +
		"status. \"Yes\" is by the client's own method.\n\n| |")
	for _, r := range results {
		fmt.Fprintf(&b, " npm `%s` %s |", r.Name, r.Version)
	}
	b.WriteString("\n|---" + strings.Repeat("|---", len(results)) + "|\n")
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |", row)
		for _, r := range results {
			fmt.Fprintf(&b, " %s |", cmp.Or(r.Cells[row], "yes"))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// compare compares the part of a document between two comments with the text, or
// with -update writes it.
func compare(t *testing.T, document, text string) {
	t.Helper()
	data, err := os.ReadFile(document)
	require.NoError(t, err)
	const start, end = "<!-- conformance: the part down to the next comment is kept as it is -->\n", "<!-- end of conformance -->"
	before, rest, _ := strings.Cut(string(data), start)
	current, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "%s has no %q", document, end)
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(before+start+text+end+after), 0o644))
		return
	}
	assert.Equal(t, text, current, "want the table of %s: run .ci/conformance -update", document)
}
