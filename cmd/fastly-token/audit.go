package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/atomicfile"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

type audit struct {
	*app
	client   *fastly.Client
	customer string
	rules    rules
	current  *fastly.TokenResponse
	revoke   bool
	yes      bool
	format   struct{ json, csv, metrics bool }
	out      string
}

func (a *app) auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Find tokens that are a risk, or are about to be a problem",
		Long: `Finds tokens that are a risk, or are about to be a problem:

  never-expires  they have no expiry
  expiring       they expire within 30 days (--expiring)
  unused         they were not used for 90 days (--unused); one that never was
                 counts from its creation
  global         they have the scope global
  all-services   they reach every service of the customer

The exit code is 4 if anything was found and not revoked.

Times are compared with the API's clock, and if that of this machine is off, a line says so. Only
what is unused by both clocks is revoked. If the list is not complete, nothing counts as unused.

--metrics prints, for Prometheus, when each token was created, was last used and expires, as
timestamps, and fastly_token_info with scope and services. Findings then do not change the exit
code. --out replaces a file atomically, for the textfile collector of node_exporter.

In CSV, a cell that a spreadsheet would take for a formula begins with an apostrophe.`,
		Example: `  fastly-token audit --customer self --ignore global
  fastly-token audit --unused 180d --revoke-unused
  fastly-token audit --metrics --out /var/lib/node_exporter/fastly.prom`,
		Args: noArgs,
	}
	au := &audit{app: a, rules: rules{expiring: duration(30 * day), unused: duration(90 * day)}}
	fs := cmd.Flags()
	fs.StringVar(&au.customer, "customer", "", customerFlag)
	fs.Var(&au.rules.expiring, "expiring", "report tokens that expire within this `time`, such as 30d or 12h")
	fs.Var(&au.rules.unused, "unused", "report tokens that were not used for this `time`")
	fs.StringSliceVar(&au.rules.ignored, "ignore", nil, "`findings` to leave out, with commas between: "+strings.Join(kinds, ", "))
	fs.BoolVar(&au.format.csv, "csv", false, "print CSV")
	fs.BoolVar(&au.format.metrics, "metrics", false, "print metrics for Prometheus")
	fs.StringVar(&au.out, "out", "", "`file` for --metrics, which every user may read")
	fs.BoolVar(&au.revoke, "revoke-unused", false, "revoke the tokens that are found unused, except that of the API key, after asking")
	fs.BoolVar(&au.yes, "yes", false, "do not ask")
	fs.BoolVar(&au.format.json, "json", false, "print JSON")
	return a.withClient(cmd, func(ctx context.Context, client *fastly.Client, _ []string) error {
		au.client = client
		return au.run(ctx)
	})
}

func (au *audit) run(ctx context.Context) (err error) {
	if err := au.checkFlags(); err != nil {
		return err
	}
	if au.current, err = au.client.Tokens.GetTokenCurrent(ctx); err != nil {
		return err
	}
	tokens, partial := listTokens(ctx, au.client, au.customer)
	switch {
	case tokens == nil, partial != nil && au.format.metrics:
		return partial
	case au.format.metrics:
		return au.writeMetrics(tokens)
	}
	if off := au.clockOffset(); off != 0 {
		au.say("the clock of this machine is off by %s: times are compared with the API's instead", terminal.Duration(off.Abs()))
	}
	rules := au.rules
	if partial != nil {
		rules.ignored = append(slices.Clone(rules.ignored), unused)
	}
	found := rules.apply(tokens, au.current.ID, au.apiTime())
	switch {
	case au.format.json:
		err = au.print(toJSON(found))
	case au.format.csv:
		err = au.printCSV(found)
	default:
		err = au.printTable(found)
	}
	if err != nil || partial != nil {
		return errors.Join(err, partial)
	}
	left := len(found.Tokens)
	if au.revoke {
		gone, err := au.revokeUnused(ctx, tokens)
		if err != nil {
			return err
		}
		left -= gone
	}
	if left > 0 {
		return exitError(exitFinding)
	}
	return nil
}

func (au *audit) checkFlags() error {
	for i, kind := range au.rules.ignored {
		au.rules.ignored[i] = strings.TrimSpace(kind)
		if !slices.Contains(kinds, au.rules.ignored[i]) {
			return usagef("--ignore: %q is none of %s", kind, strings.Join(kinds, ", "))
		}
	}
	if au.out != "" { // a link or a device is not replaced
		if _, err := (atomicfile.Disk{}).Check(au.out); err != nil {
			return usagef("--out: %w", err)
		}
	}
	f := au.format
	switch {
	case f.json && f.csv, f.metrics && (f.json || f.csv):
		return usagef("--json, --csv and --metrics exclude each other")
	case f.metrics && au.revoke:
		return usagef("--metrics and --revoke-unused exclude each other")
	case au.out != "" && !f.metrics:
		return usagef("--out is for --metrics")
	case au.yes && !au.revoke:
		return usagef("--yes is for --revoke-unused")
	case au.revoke && slices.Contains(au.rules.ignored, unused):
		return usagef("--revoke-unused and --ignore unused exclude each other")
	case au.revoke && au.rules.unused == 0: // every token
		return usagef("--revoke-unused needs --unused greater than zero")
	case au.revoke && !au.yes && au.unasked() != "":
		return usagef("--revoke-unused needs confirmation: add --yes if you are sure; it was not asked for %s", au.unasked())
	}
	return nil
}

// revokeUnused revokes the unused tokens, and returns how many it revoked.
func (au *audit) revokeUnused(ctx context.Context, tokens []fastly.TokenResponse) (gone int, err error) {
	chosen := au.revocable(tokens)
	if len(chosen) > 0 && !au.yes {
		sure, err := au.confirm(ctx, chosen)
		if err != nil {
			return 0, err
		}
		if !sure {
			au.say("nothing was revoked")
			return 0, nil
		}
		// The answer may have taken a while, and a token may have been used since.
		if tokens, err = listTokens(ctx, au.client, au.customer); err != nil {
			return 0, err
		}
		still := au.revocable(tokens)
		chosen = slices.DeleteFunc(chosen, func(f finding) bool {
			return !slices.ContainsFunc(still, func(s finding) bool { return s.ID == f.ID })
		})
	}
	if len(chosen) == 0 {
		au.say("there is no unused token to revoke")
		return 0, nil
	}
	ids, names := []string{}, map[string]string{}
	for _, f := range chosen {
		ids = append(ids, f.ID)
		names[f.ID] = f.Name
	}
	results := revokeAll(ctx, au.client, ids, au.current)
	for i := range results {
		r := &results[i]
		r.Name = names[r.ID]
		if r.Result != failed {
			r.err = nil // somebody else has revoked what was not found
			gone++
		}
	}
	lines := revocationLines(results)
	if au.format.json || au.format.csv {
		au.say("%s", lines) // stdout has the findings
	} else {
		err = au.printDone("\n"+lines, lines)
	}
	return gone, errors.Join(err, au.afterRevoking(results))
}

// revocable returns the tokens that are unused by both clocks, as either may be wrong, but never the
// one that the program uses.
func (au *audit) revocable(tokens []fastly.TokenResponse) []finding {
	now := au.now().Add(min(au.clockOffset(), 0))
	return slices.DeleteFunc(au.rules.apply(tokens, au.current.ID, now).Tokens, func(f finding) bool {
		return !f.has(unused) || f.ID == au.current.ID
	})
}

func (au *audit) confirm(ctx context.Context, chosen []finding) (bool, error) {
	au.say("to be revoked, because they were not used for %s:", au.rules.unused.String())
	for _, f := range chosen {
		au.say("  %s  %s", escape(f.ID), escape(f.Name))
	}
	au.say("a revoked token can't be restored; type yes to revoke %d", len(chosen))
	typed, err := au.ask(ctx, "> ", true)
	if errors.Is(err, errNothingTyped) {
		return false, nil
	}
	return strings.EqualFold(strings.TrimSpace(typed), "yes"), err
}
