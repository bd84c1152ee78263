package main

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/fastly-tokens/fastly"
)

// writeMetrics writes the tokens for Prometheus. Timestamps stay right when the job that writes
// them dies.
func (au *audit) writeMetrics(tokens []fastly.TokenResponse) error {
	registry := prometheus.NewRegistry()
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, append([]string{"id", "name", "user"}, labels...))
		registry.MustRegister(g)
		return g
	}
	info := gauge("fastly_token_info", "A token, with its scope and its services.", "scope", "services")
	created := gauge("fastly_token_created_timestamp_seconds", "When the token was created.")
	expires := gauge("fastly_token_expires_timestamp_seconds", "When the token expires; absent if it never does.")
	lastUsed := gauge("fastly_token_last_used_timestamp_seconds", "When the token was last used; absent if it never was.")
	for i := range tokens {
		t := &tokens[i]
		if !t.DeletedAt.IsZero() {
			continue
		}
		labels := []string{escape(t.ID), escape(t.Name), escape(t.UserID)}
		set := func(g *prometheus.GaugeVec, at time.Time) {
			if !at.IsZero() {
				g.WithLabelValues(labels...).Set(float64(at.Unix()))
			}
		}
		info.WithLabelValues(append(labels, escape(t.Scopes.String()), escape(servicesOf(t, " ")))...).Set(1)
		set(created, t.CreatedAt)
		set(expires, t.ExpiresAt)
		set(lastUsed, t.LastUsedAt)
	}
	if au.out != "" {
		return prometheus.WriteToTextfile(au.out, registry)
	}
	families, err := registry.Gather()
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&b, family); err != nil {
			return err
		}
	}
	return au.print(b.String())
}
