package fastlytest

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRequestsAreRecordedAndCopied(t *testing.T) {
	t.Parallel()
	a := newAPI(t, WithoutSudo())
	a.send("POST", "/tokens", key(a.Key()), form("name", "n"))
	a.send("GET", "/tokens/%41?q=1", key("secret"))
	a.send("POST", "/tokens", body("", strings.Repeat("x", maxBody+1)))
	all := a.Requests()
	require.Len(t, all, 3)
	first := all[0]
	assert.Equal(t, start, first.Time)
	assert.Equal(t, "POST", first.Method)
	assert.Equal(t, "/tokens", first.Path)
	assert.Equal(t, "name=n", string(first.Body))
	assert.Equal(t, 200, first.Status)
	assert.Empty(t, first.Fault)
	assert.Equal(t, "tester/1", first.Header.Get("User-Agent"))
	_, _, err := net.SplitHostPort(first.RemoteAddr)
	require.NoError(t, err)
	assert.Equal(t, "/tokens/%41", all[1].Path)
	assert.Equal(t, "q=1", all[1].Query)
	assert.Equal(t, 401, all[1].Status)
	assert.Len(t, all[2].Body, maxBody)
	assert.Equal(t, 413, all[2].Status)

	first.Header.Set("User-Agent", "changed")
	first.Body[0] = 'X'
	again := a.Requests()[0]
	assert.Equal(t, "tester/1", again.Header.Get("User-Agent"))
	assert.Equal(t, "name=n", string(again.Body))

	a.ResetRequests()
	assert.Empty(t, a.Requests())
}
