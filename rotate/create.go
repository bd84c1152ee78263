package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

// maxCreates bounds the creates of one Create and of one run of a Rotation.
const maxCreates = 3

// Create creates a token with a known outcome. It sends req with client, after
// adding a marker to the end of the name. If there is no response, or part of
// one, it looks for that name with cleanup, revokes the tokens that it finds, and
// creates another one, at most three in all. The error is nil only if Create
// returns a complete token, and has revoked every other one with its name that it
// found.
//
// The client may be one that can do nothing else (see
// [fastly.WithoutAuthentication]). The cleanup client lists and revokes: its key
// must have global scope and belong to the user of the new token. If cleanup is
// nil, Create stops at the first unknown outcome.
//
// The error is a [*CreateError], which says what exists, unless an argument is
// nil ([fastly.ErrInvalidArgument]). As with CreateToken, the response may be
// non-nil together with an error. It then holds an access token that may work:
// the token could not be found or revoked, or not looked for because cleanup is
// nil, or it is complete but there may be another one. Keep it or revoke it.
//
// Looking and revoking take at most one minute after each create, and continue
// after ctx has ended; creating does not.
func Create(ctx context.Context, client *fastly.Client, req *fastly.CreateTokenRequest, cleanup *fastly.Client) (*fastly.TokenCreatedResponse, error) {
	if ctx == nil || client == nil || req == nil {
		return nil, fmt.Errorf("rotate: Create needs a context, a client and a request: %w", fastly.ErrInvalidArgument)
	}
	marked := *req
	marked.Name = mark(req.Name)
	c := &cleaner{name: marked.Name}
	if cleanup != nil {
		c.clients = []*fastly.Client{cleanup}
	}
	created, err := c.create(ctx, client, &marked)
	if err == nil && c.lost > 0 {
		// The token of a lost create may have appeared by now.
		c.keep = []string{created.ID}
		err = c.sweep(ctx, 1)
	}
	if err == nil {
		return created, nil
	}
	return created, &CreateError{Name: c.name, Left: c.left, Unknown: c.lost > 0, Err: err}
}

// create sends req until a response is complete, and revokes the tokens of the
// other attempts. Together with an error, the response is of a token that may work.
func (c *cleaner) create(ctx context.Context, client *fastly.Client, req *fastly.CreateTokenRequest) (*fastly.TokenCreatedResponse, error) {
	for try := 1; ; try++ {
		created, err := client.Tokens.CreateToken(ctx, req)
		switch {
		case err == nil && created.ID != "":
			return created, nil
		case err == nil:
			err = fmt.Errorf("the response has no token ID: %w", fastly.ErrOutcomeUnknown)
		case created == nil && !errors.Is(err, fastly.ErrOutcomeUnknown):
			return nil, err
		}
		// The ID in a broken response may be of any token, unless its name is with it.
		known := created != nil && created.ID != "" && created.Name == req.Name
		if known {
			c.left = append(c.left, created.ID)
		} else {
			c.lost++
		}
		var sweepErr error
		if len(c.clients) > 0 {
			sweepErr = c.sweep(ctx, looks)
		}
		if created != nil && (created.AccessToken == "" || slices.Contains(c.revoked, created.ID) || !known && c.lost == 0) {
			created = nil
		}
		if created != nil || len(c.clients) == 0 || sweepErr != nil || ctx.Err() != nil || try == maxCreates {
			return created, also(also(err, sweepErr), ctx.Err())
		}
	}
}

// CreateError says what a failed [Create] left behind: nothing if Left is empty
// and Unknown is false.
type CreateError struct {
	// Name is the name of the request with its marker. Tokens with this name
	// that you do not hold belong to nobody.
	Name string
	// Left holds the IDs of tokens with this name that were created and could
	// not be revoked, as far as is known.
	Left []string
	// Unknown reports whether there may be another token with this name: a
	// create had no usable response, and its token was not found or not looked
	// for.
	Unknown bool
	// Err is the reason. It matches fastly.ErrOutcomeUnknown if a create had no
	// usable response, even if nothing is left of it: test Left and Unknown.
	Err error
}

// Error returns the reason and what is left, in one line.
func (e *CreateError) Error() string {
	text := "rotate: " + e.Err.Error()
	if len(e.Left) > 0 {
		text += "; not revoked: token " + strings.Join(e.Left, ", ")
	}
	switch {
	case e.Unknown:
		text += fmt.Sprintf("; there may be a token named %q: revoke it unless you hold it", e.Name)
	case len(e.Left) > 0:
		text += fmt.Sprintf(", named %q", e.Name)
	case errors.Is(e.Err, fastly.ErrOutcomeUnknown):
		text += fmt.Sprintf("; no token named %q is left", e.Name)
	}
	return terminal.Escape(text)
}

// Unwrap returns Err.
func (e *CreateError) Unwrap() error { return e.Err }
