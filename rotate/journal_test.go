package rotate_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly/rotate"
)

func TestMemoryJournalKeepsACopy(t *testing.T) {
	t.Parallel()
	j := rotate.MemoryJournal()
	record, err := j.Lock(t.Context())
	require.NoError(t, err)
	assert.Empty(t, record)
	saved := []byte("a record")
	require.NoError(t, j.Save(t.Context(), saved))
	saved[0] = 'x'
	require.NoError(t, j.Unlock())

	record, err = j.Lock(t.Context())

	require.NoError(t, err)
	assert.Equal(t, "a record", string(record))
	require.NoError(t, j.Save(t.Context(), nil))
	require.NoError(t, j.Unlock())
	record, err = j.Lock(t.Context())
	require.NoError(t, err)
	assert.Empty(t, record)
}

func TestJournalOfAnythingElseIsLeftAlone(t *testing.T) {
	t.Parallel()
	good := `{"version":1,"state":"handed over","old":{"id":"a"},"name":"n [r-K3QZ7MPX2A]","new":{"id":"b"}}`
	for name, record := range map[string]string{
		"no JSON":               "precious",
		"other JSON":            `{"precious":true}`,
		"a later version":       strings.Replace(good, `:1,`, `:2,`, 1),
		"no state":              strings.Replace(good, "handed over", "precious", 1),
		"a wrong state":         strings.Replace(good, "handed over", "done", 1),
		"no old token":          strings.Replace(good, `"a"`, `""`, 1),
		"no new token":          strings.Replace(good, `"b"`, `""`, 1),
		"no name":               strings.Replace(good, `n [r-K3QZ7MPX2A]`, ``, 1),
		"a name without marker": strings.Replace(good, ` [r-K3QZ7MPX2A]`, ``, 1), // others may have it
	} {
		inWorld(t, setup{}, func(t *testing.T, w *world) {
			w.record = []byte(record)

			result, err := w.rotation(t).Run(t.Context())

			assert.ErrorContains(t, err, "the journal holds something other", name)
			assert.Equal(t, rotate.StateUnknown, result.State, name)
			assert.Equal(t, record, string(w.record), name)
			assert.Equal(t, []string{"lock", "unlock"}, w.ops, name)
		})
	}
}
