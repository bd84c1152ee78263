package terminal_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/fastly-tokens/fastly/internal/terminal"
)

func TestWrapBreaksLinesBetweenWords(t *testing.T) {
	t.Parallel()
	text := "A paragraph of\nseveral lines.\n\n  term    its description\n          of two lines\n  longer  another one\n\nThe end."
	assert.Equal(t, "A paragraph of several lines.\n\n  term    its description of two lines\n  longer  another one\n\nThe end.", terminal.Wrap(text, 80))
	assert.Equal(t, "A paragraph of several\nlines.\n\n  term    its description\n          of two lines\n  longer  another one\n\nThe end.", terminal.Wrap(text, 25))
	assert.Equal(t, "A paragraph of\nseveral lines.\n\n  term\n      its\n      description\n      of two\n      lines\n  longer\n      another one\n\nThe end.", terminal.Wrap(text, 17))
	assert.Equal(t, "  one two \\\n    three\n  four\n", terminal.WrapCommands("  one two three\n  four", 13))
}
