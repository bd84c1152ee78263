package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/clock"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

// maxCreates bounds the creates of one Create and of one run of a Rotation.
const maxCreates = 3

// Create creates a token with a known outcome. It sends req with client, after adding a marker to
// the end of the name. If there is no response, or part of one, it looks for that name with
// cleanup, revokes the tokens that it finds, and creates another one, at most three in all. The
// error is nil only if Create returns a complete token and has revoked all others of its name.
//
// Create looks for lost tokens for up to 30 s in all, as they may show up late, but not while lists
// are refused. If one does not show up, Create returns another one together with an error, whose
// Unknown is set. If something other than the API answered, it does not send the password again.
//
// The client may be one that can do nothing else (see [fastly.WithoutAuthentication]). The cleanup
// client lists and revokes: its key must be of scope global and belong to the user of the new
// token. If cleanup is nil, Create stops at the first unknown outcome.
//
// The error is a [*CreateError], which says what exists, unless an argument is nil
// ([fastly.ErrInvalidArgument]). As with CreateToken, the response may be non-nil together with an
// error. It then holds an access token that may work: keep it or revoke it. When ctx has ended,
// Create looks once more, for at most a minute, and creates nothing.
func Create(ctx context.Context, client *fastly.Client, req *fastly.CreateTokenRequest, cleanup *fastly.Client) (*fastly.TokenCreatedResponse, error) {
	if ctx == nil || client == nil || req == nil {
		return nil, fmt.Errorf("rotate: Create needs a context, a client and a request: %w", fastly.ErrInvalidArgument)
	}
	marked := *req
	marked.Name = mark(req.Name)
	c := &cleaner{name: marked.Name, patience: clock.Lag}
	if cleanup != nil {
		c.clients = []*fastly.Client{cleanup}
	}
	created, err := c.create(ctx, client, &marked, func() error { return nil })
	if err == nil && c.lost > 0 {
		c.keep = []string{created.ID}
		err = c.settle(ctx)
		if c.lost > 0 {
			err = also(err, errLost)
		}
	}
	if err == nil {
		return created, nil
	}
	return created, &CreateError{Name: c.name, Left: c.ids(), Unknown: c.lost > 0, Err: err}
}

var errLost = fmt.Errorf("a create had no usable response, and its token was not found: %w", fastly.ErrOutcomeUnknown)

// create sends req until a response is complete, and revokes the tokens of the other attempts. It
// calls record before each, with the attempt among the lost. Together with an error, the response is
// of a token that may work.
func (c *cleaner) create(ctx context.Context, client *fastly.Client, req *fastly.CreateTokenRequest, record func() error) (*fastly.TokenCreatedResponse, error) {
	for try := 1; ; try++ {
		c.lost++
		if err := record(); err != nil {
			c.lost--
			return nil, err
		}
		created, err := client.Tokens.CreateToken(ctx, req)
		switch {
		case err == nil && created.ID != "":
			c.lost--
			return created, nil
		case err == nil:
			err = fmt.Errorf("the response has no token ID: %w", fastly.ErrOutcomeUnknown)
		case created == nil && !errors.Is(err, fastly.ErrOutcomeUnknown):
			c.lost--
			return nil, err
		}
		response, _ := errors.AsType[*fastly.GenericTokenError](err)
		isPage := response != nil && !says(err, response.StatusCode) || errors.Is(err, fastly.ErrInvalidResponse)
		again := len(c.clients) > 0 && try < maxCreates && !isPage
		created, settleErr := c.recover(ctx, created)
		if !again || created != nil || settleErr != nil || ctx.Err() != nil {
			return created, also(also(err, settleErr), ctx.Err())
		}
	}
}

// recover looks for the token of a create that failed, and revokes it. It returns created if that
// token may still work.
func (c *cleaner) recover(ctx context.Context, created *fastly.TokenCreatedResponse) (_ *fastly.TokenCreatedResponse, err error) {
	// The ID in a broken response may be of any token, unless its name is with it.
	known := created != nil && created.ID != "" && created.Name == c.name
	if known {
		c.lost--
		c.add(stray{id: created.ID})
	}
	lost := c.lost
	if created != nil {
		err = c.checkOwner(&created.TokenResponse)
	}
	if len(c.clients) > 0 {
		err = also(err, c.settle(ctx))
	}
	if created == nil || created.AccessToken == "" || slices.Contains(c.revoked, created.ID) || !known && c.lost < lost {
		created = nil
	}
	return created, err
}

// CreateError says what a failed [Create] left behind: nothing if Left is empty and Unknown is
// false.
type CreateError struct {
	// Name is that of the request, with its marker. Nobody holds tokens with this name but you.
	Name string
	// Left holds the IDs of tokens with this name that are known and could not be revoked.
	Left []string
	// Unknown reports whether there may be another token with this name: a create had no usable
	// response, and its token was not found or not looked for.
	Unknown bool
	// Err is the reason. It matches fastly.ErrOutcomeUnknown if a create had no usable response, even
	// if nothing is left of it: test Left and Unknown.
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
		text += fmt.Sprintf("; that has been done: no token named %q is left", e.Name)
	}
	return terminal.Escape(text)
}

// Unwrap returns Err.
func (e *CreateError) Unwrap() error { return e.Err }
