package fastly_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

func TestKeyFileThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	const memory = "/proc/self/mem" // a regular file, whose first page is not mapped
	err := assertNoKey(t, fastly.KeyFile(memory))
	require.ErrorIs(t, err, syscall.EIO)
	assert.ErrorContains(t, err, memory)
}
