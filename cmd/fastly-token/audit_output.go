package main

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"time"

	prettytext "github.com/jedib0t/go-pretty/v6/text"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

// printTable prints the report for a person. An exclamation mark, and color on a terminal, shows
// each finding in its column.
func (au *audit) printTable(rep report) error {
	st := au.styles()
	if au.customer != "" {
		slices.SortStableFunc(rep.Tokens, func(a, b finding) int { return strings.Compare(a.UserID, b.UserID) })
	}
	rows := make([]row, len(rep.Tokens))
	for i := range rep.Tokens {
		f := &rep.Tokens[i]
		rows[i] = tokenRow(&f.TokenResponse, au.customer, rep.now)
		mark := func(column int, paint prettytext.Colors, kind string) {
			if f.has(kind) {
				rows[i].cells[column].text += "!"
				rows[i].cells[column].paint = paint
			}
		}
		mark(2, st.red, neverExpires)
		mark(2, st.yellow, expiring)
		mark(3, st.yellow, unused)
		mark(4, st.red, global)
		mark(5, st.yellow, allServices)
	}
	text := conclusion(rep)
	if len(rows) > 0 {
		text = table(tokenColumns, rows, au.width(), st) + "\n" + text
	}
	return au.print(text + "\n")
}

func conclusion(rep report) string {
	if len(rep.Tokens) == 0 {
		return fmt.Sprintf("Nothing found; tokens checked: %d.", rep.Checked)
	}
	counts := map[string]int{}
	for _, f := range rep.Tokens {
		for _, kind := range f.Findings {
			counts[kind]++
		}
	}
	var lines []string
	for _, kind := range kinds {
		if counts[kind] > 0 {
			lines = append(lines, fmt.Sprintf("  %3d %s", counts[kind], kind))
		}
	}
	return fmt.Sprintf("Findings (!) about %d of %d tokens:\n%s", len(rep.Tokens), rep.Checked, strings.Join(lines, "\n"))
}

// printCSV prints the report as CSV (RFC 4180), one line for each token.
func (au *audit) printCSV(rep report) error {
	rows := [][]string{{"id", "name", "user_id", "customer_id", "scope", "services", "created_at", "expires_at", "last_used_at", "ip", "user_agent", "findings"}}
	for i := range rep.Tokens {
		f := &rep.Tokens[i]
		row := []string{
			f.ID, f.Name, f.UserID, f.CustomerID, f.Scopes.String(), strings.Join(f.Services, " "),
			date(f.CreatedAt), date(f.ExpiresAt), date(f.LastUsedAt), f.IP, f.UserAgent, strings.Join(f.Findings, " "),
		}
		for i := range row {
			row[i] = terminal.EscapeCell(row[i])
		}
		rows = append(rows, row)
	}
	var b strings.Builder
	_ = csv.NewWriter(&b).WriteAll(rows) // into memory, which does not fail
	return au.print(b.String())
}

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t)
}

// writeMetrics writes the tokens for Prometheus. Timestamps stay right when the job that writes
// them dies.
func (au *audit) writeMetrics(tokens []fastly.TokenResponse) error {
	registry := prometheus.NewRegistry()
	gauge := func(name, what string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: what}, append([]string{"id", "name", "user"}, labels...))
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
