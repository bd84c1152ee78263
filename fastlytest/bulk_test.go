package fastlytest

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestBulkRevokesAllOrNone(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.User().ID
	var all []string
	for i := range 500 {
		all = append(all, "t"+strconv.Itoa(i))
		a.token(u, all[i])
	}
	r := a.send("DELETE", "/tokens", key(a.Key()), bulk(append(slices.Clone(all), "not-an-id")...))
	assertProblem(t, r, 404, "Record not found")
	assert.False(t, a.revoked("t0"))
	r = a.send("DELETE", "/tokens", key(a.Key()), bulk(all...))
	assert.Equal(t, 204, r.status)
	assert.Empty(t, r.body)
	for _, id := range all {
		assert.True(t, a.revoked(id))
	}
}
