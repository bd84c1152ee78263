package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

const whoamiHelp = `Shows the token of the API key: its scopes, services and expiry.

With --require and --valid-for it is a check to run before a job: the exit code is 4 if the token
may not do what is required or expires too soon. Any token can be checked, as far as is known.

--require is SCOPE or SCOPE:SERVICE, such as purge_select:SU1Z0isxPaozGVKXdv0eY, and may be
repeated. The scope global covers the other documented ones. Without a service, a token that is
limited to some services is enough. The part after the last colon is a service if the scope before it is a
documented one, or if it looks like an ID (20 to 24 letters and digits). Otherwise it is part of the
scope, as in global:read.`

func (a *app) whoamiCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "whoami",
		Short:   "Show the token of the API key, or check what it may do",
		Long:    whoamiHelp,
		Example: "  fastly-token whoami --require purge_all --valid-for 7d",
		Args:    noArgs,
	}
	require := cmd.Flags().StringArray("require", nil, "`scope[:service]` that the token must allow; may be repeated")
	var validFor duration
	cmd.Flags().Var(&validFor, "valid-for", "`time` for which the token must still work, such as 7d or 12h")
	asJSON := jsonFlag(cmd.Flags())
	return a.withClient(cmd, func(ctx context.Context, client *fastly.Client, _ []string) error {
		var required []requirement
		for _, text := range *require {
			r, err := parseRequirement(text)
			if err != nil {
				return usagef("--require: %w", err)
			}
			if !slices.Contains(knownScopes, string(r.scope)) {
				a.say("--require: %q is not a documented scope: only a token that names it has it", r.scope)
			}
			required = append(required, r)
		}
		token, err := client.Tokens.GetTokenCurrent(ctx)
		if err != nil {
			return err
		}
		if err := a.printToken(token, *asJSON); err != nil {
			return err
		}
		if missing := unmet(token, required, validFor, a.apiTime()); len(missing) > 0 {
			a.say("%s", strings.Join(missing, "\n"))
			return exitError(exitFinding)
		}
		return nil
	})
}

// requirement is a scope that a token must allow, for a service or ("") for any.
type requirement struct {
	scope   fastly.Scope
	service string
}

func (r requirement) String() string {
	if r.service == "" {
		return string(r.scope)
	}
	return fmt.Sprintf("%s on the service %s", r.scope, r.service)
}

var serviceForm = regexp.MustCompile(`^[A-Za-z0-9]{20,24}$`)

func parseRequirement(text string) (requirement, error) {
	if !scopeForm.MatchString(text) || strings.HasPrefix(text, ":") || strings.HasSuffix(text, ":") {
		return requirement{}, fmt.Errorf("%q is not a scope, or a scope and a service with a colon between them", text)
	}
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 || slices.Contains(knownScopes, text) {
		return requirement{scope: fastly.Scope(text)}, nil
	}
	scope, service := text[:colon], text[colon+1:]
	if slices.Contains(knownScopes, scope) && idForm.MatchString(service) || serviceForm.MatchString(service) {
		return requirement{fastly.Scope(scope), service}, nil
	}
	return requirement{scope: fastly.Scope(text)}, nil
}

func unmet(t *fastly.TokenResponse, required []requirement, validFor duration, now time.Time) (texts []string) {
	for _, r := range required {
		mistyped := !slices.Contains(knownScopes, string(r.scope)) && !t.Scopes.Has(r.scope) // perhaps
		if mistyped || !t.Allows(r.scope, r.service) {
			texts = append(texts, "the token does not allow "+r.String())
		}
	}
	if t.Expired(now.Add(time.Duration(validFor))) && validFor > 0 {
		texts = append(texts, fmt.Sprintf("the token expires %s, %s, and must work for %s", stamp(t.ExpiresAt), terminal.Until(t.ExpiresAt, now), validFor.String()))
	}
	return texts
}
