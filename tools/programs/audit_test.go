package programs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// tokenStore is the company's own interface: what its tools may do with tokens,
// whoever issues them. TokensService has these methods.
type tokenStore interface {
	ListTokensCustomer(ctx context.Context, customerID string) ([]fastly.TokenResponse, error)
	RevokeToken(ctx context.Context, tokenID string) error
}

var _ tokenStore = (*fastly.TokensService)(nil)

// audit revokes the global tokens of a customer that were not used for 90 days, and
// reports what it did with each.
func audit(ctx context.Context, store tokenStore, customerID string, now time.Time) (report []string, err error) {
	tokens, err := store.ListTokensCustomer(ctx, customerID)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err) // part of a list is no list
	}
	for _, token := range tokens {
		last := token.LastUsedAt
		if last.IsZero() {
			last = token.CreatedAt
		}
		if !token.Allows(fastly.ScopeGlobal, "") || token.Expired(now) || now.Sub(last) < 90*24*time.Hour {
			continue
		}
		what := "revoked"
		switch err := store.RevokeToken(ctx, token.ID); {
		case errors.Is(err, fastly.ErrNotFound):
			what = "was gone"
		case errors.Is(err, fastly.ErrForbidden):
			what = "belongs to someone else"
		case errors.Is(err, fastly.ErrRateLimited):
			return report, err // the rest has to wait
		case err != nil:
			what = "may be left: " + err.Error()
		}
		report = append(report, fmt.Sprintf("%q %s", token.Name, what))
	}
	return report, nil
}

func TestAuditOfAnAccount(t *testing.T) {
	t.Parallel()
	api := fastlytest.NewServer()
	t.Cleanup(api.Close)
	client := api.Client()
	t.Cleanup(client.CloseIdleConnections)
	now := time.Now()
	add := func(name string, scope fastly.Scope, age time.Duration) {
		api.AddToken(api.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
			Name: name, Scopes: fastly.Scopes{scope}, CreatedAt: now.Add(-age),
		}})
	}
	add("forgotten", fastly.ScopeGlobal, 100*24*time.Hour)
	add("new", fastly.ScopeGlobal, time.Hour)
	add("harmless", fastly.ScopePurgeAll, 100*24*time.Hour)

	report, err := audit(t.Context(), client.Tokens, api.User().CustomerID, now)
	require.NoError(t, err)
	assert.Equal(t, []string{`"forgotten" revoked`}, report)
	report, err = audit(t.Context(), client.Tokens, api.User().CustomerID, now)
	require.NoError(t, err)
	assert.Empty(t, report, "it is gone")
}

// mockStore has tokens by their names, and what their revokes return.
type mockStore map[string]error

func (m mockStore) ListTokensCustomer(_ context.Context, customerID string) ([]fastly.TokenResponse, error) {
	if customerID == "" {
		return nil, &fastly.GenericTokenError{StatusCode: 404}
	}
	var list []fastly.TokenResponse
	for name := range m {
		list = append(list, fastly.TokenResponse{ID: name, Name: name, Scopes: fastly.Scopes{fastly.ScopeGlobal}})
	}
	return list, nil
}

func (m mockStore) RevokeToken(_ context.Context, tokenID string) error { return m[tokenID] }

func TestAuditWithErrorsMadeByHand(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"revoked":                 nil,
		"was gone":                &fastly.GenericTokenError{StatusCode: 404, Msg: "Record not found"},
		"belongs to someone else": &fastly.GenericTokenError{StatusCode: 403},
		"may be left: ":           fmt.Errorf("no response: %w", fastly.ErrOutcomeUnknown),
	} {
		report, err := audit(t.Context(), mockStore{"a": err}, "c", time.Now())
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(report[0], `"a" `+want), report)
	}
	_, err := audit(t.Context(), mockStore{"a": &fastly.GenericTokenError{StatusCode: 429, RetryAfter: time.Minute}}, "c", time.Now())
	require.ErrorIs(t, err, fastly.ErrRateLimited)
	_, err = audit(t.Context(), mockStore{}, "", time.Now())
	require.ErrorIs(t, err, fastly.ErrNotFound)
}
