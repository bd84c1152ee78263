package terminal_test

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/fastly-tokens/fastly/internal/terminal"
)

func TestEscapeShowsWhatATerminalWouldInterpret(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain Ünïcode 世界 🙂": "plain Ünïcode 世界 🙂",
		"\x1b[31mred":        `\x1b[31mred`,
		"two\nlines\r\t":     `two\nlines\r\t`,
		"\u202egnp.exe":      `\u202egnp.exe`,
		"'quoted'\x00":       `'quoted'\x00`,
		"bad\xff":            "bad\ufffd",
	} {
		assert.Equal(t, want, terminal.Escape(in))
	}
}

func TestEscapeCellLeavesNoFormula(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain": "plain", "": "", "=1+1": "'=1+1", "  @x": "'  @x", "-1": "'-1", "＝x": "'＝x", "a=b": "a=b", "\t=1": `\t=1`,
	} {
		assert.Equal(t, want, terminal.EscapeCell(in))
	}
}

func TestEscapeJSONKeepsItsValue(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"{\n  \"é 世界 🙂\"\n}": "{\n  \"é 世界 🙂\"\n}",
		"\"\u202e\x7f\"":     `"\u202e\u007f"`,
		"\"\U000e0041\"":     `"\udb40\udc41"`,
	} {
		assert.Equal(t, want, terminal.EscapeJSON(in))
	}
}

func TestTruncateCutsBetweenCharacters(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "short", terminal.Truncate("short", 5))
	assert.Equal(t, "sh…", terminal.Truncate("shorter", 5))
	assert.Equal(t, "日…", terminal.Truncate("日本語", 7))
	assert.Equal(t, "日…", terminal.Truncate("日本語", 8))
	assert.Equal(t, "…", terminal.Truncate("日本語", 5))
	assert.Equal(t, "…", terminal.Truncate("\x80\x80\x80\x80", 3), "no character begins there")
	for n := 3; n < 20; n++ {
		cut := terminal.Truncate("äöü世界🙂äöü", n)
		assert.LessOrEqual(t, len(cut), n)
		assert.True(t, utf8.ValidString(cut), cut)
	}
}
