package programs_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/fastly-tokens/fastly"
)

// stalling is a transport whose first response stops in the middle.
type stalling struct{ requests []*http.Request }

func (s *stalling) RoundTrip(req *http.Request) (*http.Response, error) {
	s.requests = append(s.requests, req)
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.WriteString(`{"id":"5Yo3XXrcQmM7CHUEKdLlkX","name":"deploy","scope":"global"}`)
	resp := w.Result()
	resp.Request, resp.ContentLength = req, -1
	if len(s.requests) == 1 {
		resp.Body = &stalledBody{strings.NewReader(`{"id":`), req}
	}
	return resp, nil
}

// stalledBody blocks after its text until the request ends.
type stalledBody struct {
	*strings.Reader
	req *http.Request
}

func (b *stalledBody) Read(p []byte) (int, error) {
	if b.Len() > 0 {
		return b.Reader.Read(p)
	}
	<-b.req.Context().Done()
	return 0, b.req.Context().Err()
}

func (b *stalledBody) Close() error { return nil }

func TestTracedTransportKeepsTheBoundOnSilence(t *testing.T) {
	t.Parallel()
	traced := func(next http.RoundTripper, spans *tracetest.SpanRecorder) http.RoundTripper {
		return otelhttp.NewTransport(next, otelhttp.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))))
	}
	for name, option := range map[string]func(*stalling, *tracetest.SpanRecorder) []fastly.Option{
		"WithHTTPClient": func(s *stalling, spans *tracetest.SpanRecorder) []fastly.Option {
			return []fastly.Option{fastly.WithHTTPClient(&http.Client{Transport: traced(s, spans)})}
		},
		"WithMiddleware": func(s *stalling, spans *tracetest.SpanRecorder) []fastly.Option {
			return []fastly.Option{
				fastly.WithHTTPClient(&http.Client{Transport: s}),
				fastly.WithMiddleware(func(next http.RoundTripper) http.RoundTripper { return traced(next, spans) }),
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, spans := new(stalling), tracetest.NewSpanRecorder()
				client, err := fastly.NewClient(append(option(s, spans), fastly.WithAPIKey("Jd8sKf02mPq-47xLwZ_nB5vTcYh1RgAe"))...)
				require.NoError(t, err)
				begin := time.Now()
				token, err := client.Tokens.GetTokenCurrent(t.Context())
				require.NoError(t, err)
				assert.Equal(t, "deploy", token.Name)
				assert.Len(t, s.requests, 2, "the attempt that stalled, and another")
				assert.InDelta(t, 60, time.Since(begin).Seconds(), 5, "s until the stalled attempt ends")
				assert.Len(t, spans.Ended(), 2, "each has a span")
			})
		})
	}
}
