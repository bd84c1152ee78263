package fastlytest

import (
	"time"

	"github.com/fastly-tokens/fastly"
)

// wireToken is a token as get and list show it.
type wireToken struct {
	ID            string   `json:"id"`
	UserID        string   `json:"user_id,omitempty"`
	CustomerID    string   `json:"customer_id"`
	Name          string   `json:"name"`
	LastUsedAt    *string  `json:"last_used_at"`
	CreatedAt     *string  `json:"created_at"`
	ExpiresAt     *string  `json:"expires_at"`
	IP            *string  `json:"ip"`
	UserAgent     *string  `json:"user_agent"`
	SudoExpiresAt *string  `json:"sudo_expires_at"`
	Scopes        []string `json:"scopes"`
	Scope         string   `json:"scope"`
	Services      []string `json:"services"`
	ServiceID     *string  `json:"service_id"`
	// Of automation tokens only.
	LimitServices bool   `json:"limit_services,omitempty"`
	Role          string `json:"role,omitempty"`
	TLSAccess     *bool  `json:"tls_access,omitempty"`
}

func tokenJSON(t fastly.TokenResponse) wireToken {
	scopes := make([]string, len(t.Scopes))
	for i, s := range t.Scopes {
		scopes[i] = string(s)
	}
	w := wireToken{
		ID:            t.ID,
		UserID:        t.UserID,
		CustomerID:    t.CustomerID,
		Name:          t.Name,
		LastUsedAt:    stamp(t.LastUsedAt),
		CreatedAt:     stamp(t.CreatedAt),
		ExpiresAt:     stamp(t.ExpiresAt),
		IP:            orNull(t.IP),
		UserAgent:     orNull(t.UserAgent),
		SudoExpiresAt: stamp(t.SudoExpiresAt),
		Scopes:        scopes,
		Scope:         t.Scopes.String(),
		Services:      notNil(t.Services),
		ServiceID:     lastOrNull(t.Services),
		LimitServices: t.LimitServices,
	}
	if t.UserID == "" {
		w.asAutomationToken()
	}
	return w
}

// asAutomationToken makes what is null the empty string, times included, and adds
// the fields that only automation tokens have.
func (w *wireToken) asAutomationToken() {
	for _, field := range []**string{
		&w.LastUsedAt, &w.CreatedAt, &w.ExpiresAt, &w.IP, &w.UserAgent, &w.SudoExpiresAt, &w.ServiceID,
	} {
		if *field == nil {
			*field = new(string)
		}
	}
	w.Role, w.TLSAccess = "engineer", new(bool)
}

func listJSON(list []fastly.TokenResponse) []wireToken {
	all := make([]wireToken, len(list))
	for i, t := range list {
		all[i] = tokenJSON(t)
	}
	return all
}

// wireCreated is a token as create shows it, the one time.
type wireCreated struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	UserID      string   `json:"user_id"`
	CustomerID  string   `json:"customer_id"`
	ServiceID   *string  `json:"service_id"`
	ExpiresAt   *string  `json:"expires_at"`
	CreatedAt   *string  `json:"created_at"`
	UpdatedAt   *string  `json:"updated_at"`
	Scope       string   `json:"scope"`
	Services    []string `json:"services"`
	AccessToken string   `json:"access_token"`
}

func createdJSON(t fastly.TokenCreatedResponse) wireCreated {
	return wireCreated{
		ID:          t.ID,
		Name:        t.Name,
		UserID:      t.UserID,
		CustomerID:  t.CustomerID,
		ServiceID:   lastOrNull(t.Services),
		ExpiresAt:   stamp(t.ExpiresAt),
		CreatedAt:   stamp(t.CreatedAt),
		UpdatedAt:   stamp(t.UpdatedAt),
		Scope:       t.Scopes.String(),
		Services:    notNil(t.Services),
		AccessToken: t.AccessToken.Reveal(),
	}
}

// stamp returns a time of a token as the API writes it: null for the zero time.
func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format("2006-01-02T15:04:05Z")
	return &s
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func notNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// lastOrNull returns the legacy service_id: the last of several services.
func lastOrNull(services []string) *string {
	if len(services) == 0 {
		return nil
	}
	return &services[len(services)-1]
}
