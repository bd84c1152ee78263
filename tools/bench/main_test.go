package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDocumentHasTheRowsThatAreMeasured(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/performance.md")
	require.NoError(t, err)
	document := rows(string(text))
	for part, wanted := range map[string]int{"get": 3, "create": 3, "revoke": 1, "tls": 8} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			require.NoError(t, run(t.Context(), []string{"-only", part, "-rounds", "1"}, &out))
			measured := rows(out.String())
			assert.Len(t, measured, wanted, "rows of this part in\n%s", &out)
			for row := range measured {
				assert.Contains(t, document, row, "want docs/performance.md to have this row, with its limit")
			}
		})
	}
}

// rows is what stands in the tables of ratios, but for the figures.
func rows(markdown string) map[string]bool {
	found := map[string]bool{}
	table := ""
	for line := range strings.Lines(markdown) {
		if title, ok := strings.CutPrefix(line, "### "); ok {
			table = strings.TrimSpace(title)
		}
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) == 6 && cells[0] != "work" {
			limit, _, _ := strings.Cut(cells[5], ":")
			found[strings.Join([]string{table, cells[0], cells[1], limit}, " | ")] = true
		}
	}
	return found
}

func TestRejectsArgumentsThatMeasureNothing(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		`no part is called "lists": want one of get, list`: {"-only", "lists"},
		"0 rounds measure nothing":                         {"-rounds", "0"},
	} {
		var out bytes.Buffer
		require.ErrorContains(t, run(t.Context(), args, &out), want)
		assert.Empty(t, out.String())
	}
}
