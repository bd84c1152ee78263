package main

import (
	"strconv"
	"testing"

	prettytext "github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func atoi(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

var unstyled = (&app{}).styles()

func TestIDsAreNeverCut(t *testing.T) {
	t.Parallel()
	columns := []column{{title: "ID"}, {title: "NAME", min: 8}}
	rows := []row{{cells: []cell{{text: "aaaaaaaaaaaaaaaaaaaaaa"}, {text: "a name of many words"}}}, {cells: []cell{{text: "bbbbbbbbbbbbbbbbbbbbbb"}, {text: "b"}}}}
	assert.Equal(t, "ID                      NAME\naaaaaaaaaaaaaaaaaaaaaa  a name …\nbbbbbbbbbbbbbbbbbbbbbb  b\n", table(columns, rows, 32, unstyled))
	text := table(columns, rows, 24, unstyled)
	assert.Contains(t, text, "ID    aaaaaaaaaaaaaaaaaa\n      aaaa\nNAME  a name of many wor\n      ds\n\nID", "blocks, with whole IDs")
}

func TestTheWidestColumnIsCutFirst(t *testing.T) {
	t.Parallel()
	columns := []column{{title: "A", min: 4}, {title: "B", min: 4}, {title: "C"}}
	rows := []row{{cells: []cell{{text: "0123456789"}, {text: "01234567"}, {text: "stays"}}}}
	assert.Equal(t, "A        B        C\n012345…  012345…  stays\n", table(columns, rows, 23, unstyled))
	assert.Equal(t, "A           B         C\n0123456789  01234567  stays\n", table(columns, rows, unlimited, unstyled))
}

func TestWideCharactersAreAligned(t *testing.T) {
	t.Parallel()
	columns := []column{{title: "A", min: 4}, {title: "B"}}
	rows := []row{{cells: []cell{{text: "日本語"}, {text: "x"}}}, {cells: []cell{{text: "abcdef"}, {text: "y"}}}}
	assert.Equal(t, "A       B\n日本語  x\nabcdef  y\n", table(columns, rows, 80, unstyled))
}

func TestColorTakesNoColumns(t *testing.T) {
	t.Parallel()
	red := prettytext.Colors{prettytext.FgRed}
	columns := []column{{title: "A"}, {title: "B"}}
	rows := []row{{cells: []cell{{"never!", red}, {text: "x"}}}, {cells: []cell{{text: "in 8 days"}, {text: "y"}}}}
	assert.Equal(t, "A          B\n\x1b[31mnever!\x1b[0m     x\nin 8 days  y\n", table(columns, rows, 80, unstyled))
}
