package plain_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/fastly-tokens/fastly/internal/plain"
)

func TestFormsUndoEscapesInAnyMixture(t *testing.T) {
	t.Parallel()
	const want = `Pa<s>&"w/0=rd`
	for _, escaped := range []string{
		want,
		"Pa%3Cs%3E%26%22w%2F0%3Drd",
		"Pa&lt;s&gt;&amp;&quot;w&#x2F;0&#61;rd",
		`Pa\u003cs\u003e\u0026\"w\/0\u003drd`,
		`Pa\x3Cs\076\x26\x22w\u{2f}0\075rd`,
		"Pa%253Cs%26gt;%5Cu0026&amp;quot;w%2F0%3drd",
	} {
		assert.Contains(t, plain.Forms(escaped), want, escaped)
	}
}

// Else what one backslash stands for would be taken for a part of another's escape.
func TestFormsTakeSeveralBackslashesForOne(t *testing.T) {
	t.Parallel()
	for _, escaped := range []string{`\062345`, `\\\062345`, `\\\\062345`, "%255C%255C062345", `&#92;\062345`, `%5C\062345`} {
		assert.Contains(t, plain.Forms(escaped), "2345", escaped)
	}
}

func TestFormsOfTextWithoutEscapesAreTheText(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"no such token"}, plain.Forms("no such token"))
	assert.Empty(t, plain.Forms())
}

func TestFormsLeaveOutWhatAnotherCharacterSetLoses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"pass\u00e9word", "pass?word", "pass\xe9word", "pass\ufffdword", "pass''word"} {
		assert.Contains(t, plain.Forms(text), "password", text)
	}
}

func TestWordsAreWhatAccessTokensAreMadeOf(t *testing.T) {
	t.Parallel()
	assert.True(t, plain.HasWord("a b_c-D9 e", 6))
	assert.False(t, plain.HasWord("a b_c-D9 e", 7))
	assert.False(t, plain.HasWord("", 1))
	assert.True(t, plain.EndsWithWord("a: b_c-D", 5))
	assert.False(t, plain.EndsWithWord("a: b_c-D", 6))
	assert.False(t, plain.EndsWithWord("b_c-D ", 1))
}

func TestBeginningOfASecretAtTheEnd(t *testing.T) {
	t.Parallel()
	assert.True(t, plain.EndsWithin("the password secr", "secret word", 4))
	assert.True(t, plain.EndsWithin("the password secret%2", "secret+word", 4), "within an escape")
	assert.False(t, plain.EndsWithin("the password sec", "secret word", 4))
	assert.False(t, plain.EndsWithin("secret word "+"and what follows after it", "secret word", 4))
}
