// Package programs_test has programs as users write them, from README and the
// documentation of the packages alone.
package programs_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/rotate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service reads its key from a file, so that it follows a rotation without a
// restart. Each attempt is a span, and the rate limit is a metric.
type service struct {
	client *fastly.Client
	served atomic.Int64
}

func newService(baseURL, keyFile string, tracing *sdktrace.TracerProvider, metrics *sdkmetric.MeterProvider) (*service, error) {
	client, err := fastly.NewClient(
		fastly.WithBaseURL(baseURL),
		fastly.WithAPIKeyFunc(fastly.KeyFile(keyFile)),
		fastly.WithUserAgent("token-service/1.0"),
		fastly.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return otelhttp.NewTransport(next, otelhttp.WithTracerProvider(tracing), otelhttp.WithMeterProvider(metrics))
		}),
	)
	if err != nil {
		return nil, err
	}
	_, err = metrics.Meter("token-service").Int64ObservableGauge("fastly.rate_limit.remaining",
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			if limit, ok := client.RateLimit(); ok {
				o.Observe(int64(limit.Remaining))
			}
			return nil
		}))
	return &service{client: client}, err
}

// handle is the service's work.
func (s *service) handle(ctx context.Context) error {
	_, err := s.client.Tokens.GetTokenCurrent(ctx)
	if err == nil {
		s.served.Add(1)
	}
	return err
}

func TestServiceWhoseTokenRotates(t *testing.T) {
	t.Parallel()
	api := fastlytest.NewServer()
	t.Cleanup(api.Close)
	keyFile := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(keyFile, []byte(api.Key().Reveal()+"\n"), 0o600))
	spans, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
	tracing := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	s, err := newService(api.URL, keyFile, tracing, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	require.NoError(t, err)
	t.Cleanup(s.client.CloseIdleConnections)

	require.NoError(t, s.handle(t.Context()))
	rotation := &rotate.Rotation{
		Client: s.client,
		Login: func(context.Context) (rotate.Login, error) {
			return rotate.Login{Username: api.User().Login, Password: fastly.Secret(api.User().Password)}, nil
		},
		Connect: func(key fastly.Secret) (*fastly.Client, error) {
			return s.client.With(fastly.WithAPIKey(key.Reveal()))
		},
		Lifetime: 24 * time.Hour,
		Handover: rotate.WriteFile(keyFile),
		Journal:  rotate.MemoryJournal(),
	}
	result, err := rotation.Run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, rotate.StateDone, result.State)
	require.NoError(t, s.handle(t.Context()), "the new key is used without a restart")
	assert.EqualValues(t, 2, s.served.Load())

	assert.Len(t, spans.Ended(), len(api.Requests()), "each attempt has a span")
	for _, token := range api.Tokens() {
		for _, span := range spans.Ended() {
			for _, attribute := range span.Attributes() {
				assert.NotContains(t, attribute.Value.AsString(), token.AccessToken.Reveal(), attribute.Key)
			}
		}
	}
	var metrics metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &metrics))
	for _, scope := range metrics.ScopeMetrics {
		if scope.Scope.Name == "token-service" {
			points := scope.Metrics[0].Data.(metricdata.Gauge[int64]).DataPoints
			assert.EqualValues(t, 998, points[0].Value, "a create and a revoke count")
			return
		}
	}
	assert.Fail(t, "there is no metric")
}
