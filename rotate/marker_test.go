package rotate_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/rotate"
)

func TestBaseNameRemovesOneMarker(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                            "",
		"deploy":                      "deploy",
		"deploy [r-K3QZ7MPX2A]":       "deploy",
		"[r-K3QZ7MPX2A]":              "",
		"deploy [r-k3qz7mpx2a]":       "deploy [r-k3qz7mpx2a]",
		"deploy [r-K3QZ7MPX2A] (old)": "deploy [r-K3QZ7MPX2A] (old)",
		"deploy [r-K3QZ]":             "deploy [r-K3QZ]",
	} {
		assert.Equal(t, want, rotate.BaseName(name), name)
	}
}

func TestNameThatIsNotTextIsNoPanic(t *testing.T) {
	t.Parallel()
	client, err := fastly.NewClient(fastly.WithAPIKey("made-up"))
	require.NoError(t, err)
	_, err = rotate.Create(t.Context(), client, &fastly.CreateTokenRequest{Name: strings.Repeat("\x80", 300), Username: "x"}, nil)
	assert.ErrorIs(t, err, fastly.ErrInvalidArgument)
}

func TestMarkerReplacesTheOldOneAndFits(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(a, setup{}, nil)
		for name, base := range map[string]string{
			"":                             "",
			"deploy":                       "deploy",
			" deploy":                      " deploy",
			" ":                            " ",
			"deploy [r-K3QZ7MPX2A]":        "deploy",
			strings.Repeat("x", 300):       strings.Repeat("x", 240),
			"x" + strings.Repeat("ö", 200): "x" + strings.Repeat("ö", 119),
		} {
			created, err := rotate.Create(t.Context(), w.client(t, w.admin.AccessToken), &fastly.CreateTokenRequest{Name: name}, nil)
			require.NoError(t, err)
			assert.Equal(t, base, rotate.BaseName(created.Name))
			assert.NotEqual(t, name, created.Name)
			assert.LessOrEqual(t, len(created.Name), 255)
			assert.True(t, utf8.ValidString(created.Name))
			assert.NotEqual(t, " [", created.Name[:2])
		}
	})
}
