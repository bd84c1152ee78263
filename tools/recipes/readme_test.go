//go:build unix

package recipes_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

// readme returns the Go of README.md.
func readme(t *testing.T) (program, create, test, rotation string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	require.Len(t, blocks, 4)
	return blocks[0][1], blocks[1][1], blocks[2][1], blocks[3][1]
}

// snippets is a program whose functions are what README.md shows of one.
const snippets = `package main

import ("context"; "errors"; "os"; "testing"; "time"
	"github.com/fastly-tokens/fastly"; "github.com/fastly-tokens/fastly/fastlytest"; "github.com/fastly-tokens/fastly/rotate")

func create(ctx context.Context, client *fastly.Client, password fastly.Secret,
	askForCode func(context.Context) (fastly.Secret, error), store func(string)) error {
	CREATE
	return err
}

func try(t *testing.T, deploy func(context.Context, *fastly.Client, string, string) error) {
	TEST
}

func replace(ctx context.Context, client *fastly.Client, login func(context.Context) (rotate.Login, error)) error {
	ROTATION
	_ = result
	return err
}

func main() {
	client, err := fastly.NewClientFromEnv()
	if err != nil {
		panic(err)
	}
	err = replace(context.Background(), client, func(context.Context) (rotate.Login, error) {
		return rotate.Login{Username: os.Args[1], Password: fastly.Secret(os.Args[2])}, nil
	})
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
}
`

func TestReadmeStartsWithAProgram(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.files["start.go"], _, _, _ = readme(t)
	program := m.program("start.go", "package main")
	code, stdout, stderr := m.run([]string{"FASTLY_API_TOKEN=" + m.Key().Reveal()}, program)
	require.Equal(t, 0, code, stderr)
	assert.Equal(t, m.Tokens()[0].ID+" "+m.Tokens()[0].Name+" global\n", stdout)
}

// The file is for others to read, so it must not get the rights of the client's own token.
func TestReadmeRotatesTheTokenOfTheFileAndNoOther(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	_, create, test, rotation := readme(t)
	m.files["readme.go"] = strings.NewReplacer("CREATE", create, "TEST", test, "ROTATION", rotation).Replace(snippets)
	m.files["readme.go"] = strings.NewReplacer("/etc/purger", m.root, "/var/lib/purger", m.root, "10 * time.Minute", "time.Millisecond").Replace(m.files["readme.go"])
	program := m.program("readme.go", "package main")
	rotate := func() int {
		code, _, stderr := m.run([]string{"FASTLY_API_TOKEN=" + m.Key().Reveal()}, program, m.User().Login, m.User().Password)
		assert.Equal(t, code != 0, stderr != "", stderr)
		return code
	}
	assert.Equal(t, 1, rotate(), "there is no file")
	m.write("fastly-token", m.purger(time.Now().Add(-time.Hour)).AccessToken.Reveal(), 0o600)
	assert.Equal(t, 1, rotate(), "its token has expired")
	assert.Len(t, m.Tokens(), 2)

	old := m.purger(time.Now().Add(time.Hour))
	m.write("fastly-token", old.AccessToken.Reveal(), 0o600)
	assert.Equal(t, 0, rotate())
	assert.Equal(t, old.Scopes, m.holder(m.read("fastly-token")).Scopes)
	old, _ = m.Token(old.ID)
	assert.False(t, old.DeletedAt.IsZero())
	assert.True(t, m.Tokens()[0].DeletedAt.IsZero(), "the client's own token is revoked")
}

// purger adds a token that may purge, and ends at a time.
func (m *machine) purger(end time.Time) fastly.TokenCreatedResponse {
	return m.AddToken(m.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		Name: "purger", Scopes: fastly.Scopes{fastly.ScopePurgeSelect}, ExpiresAt: end,
	}})
}

func TestDocumentationOfRotateIsThatOfTheReadme(t *testing.T) {
	t.Parallel()
	_, _, _, rotation := readme(t)
	text, err := os.ReadFile(filepath.Join("..", "..", "rotate", "doc.go"))
	require.NoError(t, err)
	want := regexp.MustCompile(`(?m)^`).ReplaceAllString(strings.TrimSuffix(rotation, "\n"), "//\t")
	assert.Contains(t, string(text), want)
}
