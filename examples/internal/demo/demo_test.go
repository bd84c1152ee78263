package demo_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestExamplesAreShortAndNeedNoOtherModule(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ci-token", "expiring", "login", "rotate"} {
		files, err := filepath.Glob(filepath.Join("..", "..", name, "*.go"))
		require.NoError(t, err)
		lines := 0
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			text, err := os.ReadFile(path) // #nosec G304 -- of this repository
			require.NoError(t, err)
			lines += strings.Count(string(text), "\n")
			assertOwnImports(t, path)
		}
		assert.Positive(t, lines, name)
		assert.Less(t, lines, 100, name)
	}
}

func TestWhatExamplesShareNeedsNoOtherModule(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"*.go", "../../quickstart/*.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, path := range files {
			if !strings.HasSuffix(path, "_test.go") {
				assertOwnImports(t, path)
			}
		}
	}
}

// assertOwnImports checks that a file imports the standard library and this
// module only.
func assertOwnImports(t *testing.T, path string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	require.NoError(t, err)
	for _, spec := range file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		first, _, _ := strings.Cut(name, "/")
		if strings.Contains(first, ".") {
			assert.True(t, strings.HasPrefix(name+"/", "github.com/fastly-tokens/fastly/"), "%s imports %s", path, name)
		}
	}
}
