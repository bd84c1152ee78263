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
	for work, wanted := range map[string]int{"get, HTTP/2": 1, "create": 1, "bulk": 2, "ms away": 1} {
		var out bytes.Buffer
		require.NoError(t, run(meter{t.Context(), 1}, work, &out))
		measured := rows(out.String())
		assert.Len(t, measured, wanted, "rows of %q in\n%s", work, &out)
		for _, row := range measured {
			assert.Contains(t, document, row, "want docs/performance.md to have this row, with its limits")
		}
	}
}

// rows is what stands in the tables of figures, without the figures.
func rows(markdown string) (found []string) {
	for line := range strings.Lines(markdown) {
		if cells := strings.Split(strings.Trim(line, "| \n"), " | "); strings.HasPrefix(cells[0], "1.") {
			for i := 2; i < len(cells); i++ {
				_, limit, _ := strings.Cut(cells[i], "≤")
				cells[i] = strings.Trim(limit, " *")
			}
			found = append(found, strings.Join(cells, " | "))
		}
	}
	return found
}

func TestFiguresAreShownWithTheirLimits(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "0.95 ≤ 0.95", atMost(0.95, 0.95))
	assert.Equal(t, "0.97, **not ≤ 0.95**", atMost(0.966, 0.95))
	assert.Equal(t, "1.25", atMost(1.25, 0))
	assert.Equal(t, "224 ≤ 1000", atMost(224.04, 1000))
	assert.Equal(t, "2 ≤ 3", atMost(2, 3))
}
