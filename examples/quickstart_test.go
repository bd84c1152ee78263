package examples_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestQuickstartShowsAllOperationsAndARefusal(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	p := a.command(t, "quickstart")
	require.Equal(t, 0, p.run(t, a), p.err.String())
	assert.Empty(t, a.Requests(), "it uses no account but its own")
	text := p.out.String()
	for _, operation := range []string{
		"GetTokenCurrent", "ListTokensUser", "ListTokensCustomer", "GetToken",
		"CreateToken", "RevokeTokenCurrent", "RevokeToken", "BulkRevokeTokens",
	} {
		assert.Regexp(t, `(?m)^ *\d+\. `+operation+`,`, text)
		assert.Regexp(t, `(?m)^ {4}.*\.Tokens\.`+operation+`\(ctx`, text)
	}
	assert.Contains(t, text, "[REDACTED]")
	assert.Contains(t, text, "-> fastly: DELETE /tokens/self: 403 ")
	assert.Contains(t, text, `"default" is revoked`)
	assert.NotContains(t, text, "\x1b")
	assert.NotContains(t, text, "\t")
}

// TestQuickstartRunsTheGoThatItShows compares each text with the statements after it.
func TestQuickstartRunsTheGoThatItShows(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("quickstart/main.go")
	require.NoError(t, err)
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "main.go", source, 0)
	require.NoError(t, err)
	shown := 0
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || selector.Sel.Name != "step" {
			return true
		}
		shown++
		code, err := strconv.Unquote(call.Args[1].(*ast.BasicLit).Value)
		require.NoError(t, err)
		rest := string(source[files.Position(call.End()).Offset:])
		for line := range strings.Lines(strings.TrimSpace(code)) {
			line = strings.TrimSpace(line)
			at := strings.Index(rest, line+"\n")
			require.GreaterOrEqual(t, at, 0, "%q is shown, and does not run", line)
			between := strings.TrimSpace(rest[:at])
			assert.True(t, between == "" || between == "if err != nil {\n\t\treturn err\n\t}", "before %q there is %q", line, between)
			rest = rest[at+len(line):]
		}
		return true
	})
	assert.Equal(t, 10, shown)
}
