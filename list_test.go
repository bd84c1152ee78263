package fastly_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

// What a client learns of one list's length must not show in the next one.
func TestListsOfDifferentLengthsOneAfterTheOther(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(strings.Split(r.URL.Path, "/")[2])
		assert.NoError(t, err)
		items := make([]string, n)
		for i := range items {
			items[i] = fmt.Sprintf(`{"id":"T%d","name":"n%d","ip":"192.0.2.%d","scope":"purge_all s%d","services":["S%d","S%d"]}`, i, i, i%250, i%3, i%5, i)
		}
		_, _ = io.WriteString(w, "["+strings.Join(items, ",")+"]")
	}))
	t.Cleanup(srv.Close)
	client, err := fastly.NewClient(fastly.WithAPIKey("key"), fastly.WithBaseURL(srv.URL))
	require.NoError(t, err)

	for _, n := range []int{0, 1, 8, 9, 3, 1000, 1100, 1024, 1025, 40_000, 7, 40_000, 30_000, 1500, 0, 2} {
		list, err := client.Tokens.ListTokensCustomer(t.Context(), strconv.Itoa(n))
		require.NoError(t, err)
		require.NotNil(t, list)
		require.Len(t, list, n)
		for i, token := range list {
			if want := (fastly.TokenResponse{
				ID: fmt.Sprintf("T%d", i), Name: fmt.Sprintf("n%d", i), IP: fmt.Sprintf("192.0.2.%d", i%250),
				Scopes:   fastly.Scopes{"purge_all", fastly.Scope(fmt.Sprintf("s%d", i%3))},
				Services: []string{fmt.Sprintf("S%d", i%5), fmt.Sprintf("S%d", i)},
			}); !assert.ObjectsAreEqual(want, token) {
				require.Equal(t, want, token, "of %d", n)
			}
		}
	}
}

// Tokens of a list share memory, and nobody may notice.
func TestTokensOfAListCanBeChangedOneByOne(t *testing.T) {
	t.Parallel()
	const item = `{"id":"T%d","scope":"purge_all purge_select","services":["S1","S2"]}`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "["+item+","+item+","+item+"]", 1, 2, 3)
	}))
	t.Cleanup(srv.Close)
	client, err := fastly.NewClient(fastly.WithAPIKey("key"), fastly.WithBaseURL(srv.URL))
	require.NoError(t, err)

	list, err := client.Tokens.ListTokensUser(t.Context())
	require.NoError(t, err)
	list[0].Services[1] = "changed"
	list[0].Scopes[0] = "changed"
	list[0].Services = append(list[0].Services, "added")
	list[0].Scopes = append(list[0].Scopes, "added")
	for _, token := range list[1:] {
		assert.Equal(t, []string{"S1", "S2"}, token.Services)
		assert.Equal(t, fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect}, token.Scopes)
	}
}
