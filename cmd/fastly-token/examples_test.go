//go:build unix

package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestExamplesRunAsTheyAreIntroduced copies each example into a module of its own, as a
// reader would, and runs the command of its package comment there.
func TestExamplesRunAsTheyAreIntroduced(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it compiles five programs")
	}
	s := newSite(t)
	top, err := filepath.Abs("../..")
	require.NoError(t, err)
	sums, err := os.ReadFile(filepath.Join(top, "go.sum"))
	require.NoError(t, err)
	s.file("go.sum", string(sums))
	s.file("go.mod", fmt.Sprintf("module example.com/copied\n\ngo 1.26\n\nrequire github.com/fastly-tokens/fastly v0.0.0\n\nreplace github.com/fastly-tokens/fastly => %q\n", top))
	login := `^The access token of token "\w+" \("login [^"]+", "global:read"\) is in "token"\.\n`
	wanted := map[string]string{
		"ci-token": `^http://127\.0\.0\.1:\d+\n$`,
		"expiring": `^No token expires within 14 days.\n$`,
		"login":    login + `$`,
		"purge":    `^Token "\w+" may purge keys of "\w+": true\n$`,
		"rotate":   login + `Token "\w+" replaces token "\w+"\.\n$`,
	}
	introductions := map[string]string{}
	for name := range wanted {
		source, err := os.ReadFile(filepath.Join(top, "examples", name, "main.go")) // #nosec G304 -- of this repository
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Join(s.dir, "examples", name), 0o700))
		s.file(filepath.Join("examples", name, "main.go"), string(source))
		file, err := parser.ParseFile(token.NewFileSet(), "main.go", source, parser.ParseComments)
		require.NoError(t, err)
		introduced := regexp.MustCompile(`(?m)^\tfastly-token (serve -- .*go run \./examples/.+)$`).FindStringSubmatch(file.Doc.Text())
		require.NotNil(t, introduced, name)
		introductions[name] = introduced[1]
	}
	for name, want := range wanted {
		p := s.command()
		p.Path, p.Args = "/bin/sh", []string{"sh", "-c", `"$0" ` + introductions[name], build(t)}
		p.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "TMPDIR="+t.TempDir())
		require.NoError(t, p.Start())
		assert.Equal(t, 0, p.end(s), "%s: %s", name, p.stderr.String())
		assert.Regexp(t, want, p.stdout.String(), name)
		require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "token")))
	}
	examples, err := filepath.Glob(filepath.Join(top, "examples", "*", "main.go"))
	require.NoError(t, err)
	assert.Len(t, examples, 6, "these, and quickstart, which needs no API")
}
