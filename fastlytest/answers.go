package fastlytest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/fastly-tokens/fastly"
)

// problem is an answer that says no. The JSON is the API's.
type problem struct {
	Status int    `json:"-"`
	Msg    string `json:"msg"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code,omitempty"`
}

var (
	errUnauthorized = newProblem(http.StatusUnauthorized, "")
	errForbidden    = newProblem(http.StatusForbidden, "")
	errSudo         = &problem{Status: http.StatusForbidden, Msg: "You must POST /sudo to access this endpoint"}
	errNoToken      = newProblem(http.StatusNotFound, "Cannot load token")
	errRateLimited  = newProblem(http.StatusTooManyRequests, "")
	errGrant        = refuse("invalid_grant", "The username or password is wrong")
	errLocked       = refuse("account_locked", "The account is locked")
	errTooMany      = &problem{
		Status: http.StatusBadRequest,
		Msg:    "Exceeding max number of tokens",
		Detail: "A user can have at most 100 active tokens",
	}
)

// messages are those of the API where it has one of its own.
var messages = map[int]string{
	http.StatusBadRequest:          "Bad request",
	http.StatusUnauthorized:        "Provided credentials are missing or invalid",
	http.StatusForbidden:           "You are not authorized to perform this action",
	http.StatusNotFound:            "Record not found",
	http.StatusUnprocessableEntity: "Invalid value for expires_at",
	http.StatusTooManyRequests:     "You have exceeded your hourly rate limit",
}

func newProblem(status int, detail string) *problem {
	msg := messages[status]
	if msg == "" {
		msg = http.StatusText(status)
	}
	return &problem{Status: status, Msg: msg, Detail: detail}
}

// refuse is a 400 with one of the codes of the credential endpoints.
func refuse(code, detail string) *problem {
	p := newProblem(http.StatusBadRequest, detail)
	p.Code = code
	return p
}

func (p *problem) answer() answer {
	a := jsonAnswer(p)
	a.status = p.Status
	return a
}

// answer is what goes back to the client: a body or, if not nil, a list.
type answer struct {
	status int
	header http.Header
	body   []byte
	list   []fastly.TokenResponse
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

func jsonAnswer(v any) answer {
	return answer{status: http.StatusOK, header: jsonHeader(), body: mustMarshal(v)}
}

// mustMarshal is for values that always marshal.
func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// setRateLimit tells what is left of the hour, and when it ends.
func setRateLimit(h http.Header, remaining int, hour time.Time) {
	h.Set("Fastly-RateLimit-Remaining", strconv.Itoa(remaining))
	h.Set("Fastly-RateLimit-Reset", strconv.FormatInt(hour.Add(time.Hour).Unix(), 10))
}

// write sends the answer. An error means that the client left, which is its own
// business.
func (a answer) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	if a.list == nil {
		if len(a.body) > 0 {
			w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		}
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body)
		return
	}
	w.WriteHeader(a.status)
	flush(w) // a list has no Content-Length, however short
	_ = writeList(w, a.list)
}

// flush sends what was written so far.
func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

func writeList(w io.Writer, list []fastly.TokenResponse) error {
	bw := bufio.NewWriterSize(w, 32<<10)
	_ = bw.WriteByte('[') // bw keeps its first error
	for i, t := range list {
		if i > 0 {
			_ = bw.WriteByte(',')
		}
		if _, err := bw.Write(mustMarshal(tokenJSON(t))); err != nil {
			return err
		}
	}
	_ = bw.WriteByte(']')
	return bw.Flush()
}

// promising is a, with a body that can be cut short if a has none.
func (a answer) promising() answer {
	if a.list == nil && len(a.body) == 0 {
		return jsonAnswer(map[string]string{"status": "ok"})
	}
	return a
}

// writePart sends the first bytes of an answer that promises more: keep of the
// body, half of it if keep is 0.
func (a answer) writePart(w http.ResponseWriter, keep int) {
	body := a.body
	if a.list != nil {
		var b bytes.Buffer
		_ = writeList(&b, a.list)
		body = b.Bytes()
	}
	if keep == 0 {
		keep = len(body) / 2
	}
	maps.Copy(w.Header(), a.header)
	if a.list == nil {
		w.Header().Set("Content-Length", strconv.Itoa(max(len(body), keep+1)))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(body[:min(keep, len(body))])
	flush(w)
}

// writeEndless sends a body without end: a list of tokens if a is a list, an
// object with one long string if not.
func (a answer) writeEndless(w http.ResponseWriter, closing <-chan struct{}) {
	start, more := []byte(`{"name":"`), bytes.Repeat([]byte("endless "), 4<<10)
	if a.list != nil {
		t := mustMarshal(tokenJSON(fastly.TokenResponse{
			ID: randomID(), UserID: randomID(), CustomerID: randomID(), Name: "endless",
			Scopes: fastly.Scopes{fastly.ScopeGlobal},
		}))
		start = append([]byte{'['}, t...)
		more = bytes.Repeat(append([]byte{','}, t...), 1+(32<<10)/len(t))
	}
	maps.Copy(w.Header(), jsonHeader())
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(start)
	for err == nil {
		select {
		case <-closing:
			return
		default:
			_, err = w.Write(more)
		}
	}
}

// wireToken is a token as get and list show it.
type wireToken struct {
	ID            string   `json:"id"`
	UserID        string   `json:"user_id"`
	CustomerID    string   `json:"customer_id"`
	Name          string   `json:"name"`
	LastUsedAt    *string  `json:"last_used_at"`
	CreatedAt     *string  `json:"created_at"`
	ExpiresAt     *string  `json:"expires_at"`
	IP            *string  `json:"ip"`
	UserAgent     *string  `json:"user_agent"`
	SudoExpiresAt *string  `json:"sudo_expires_at"`
	Scope         string   `json:"scope"`
	Scopes        []string `json:"scopes"`
	Services      []string `json:"services"`
	ServiceID     *string  `json:"service_id"` // legacy, always null
}

func tokenJSON(t fastly.TokenResponse) wireToken {
	scopes := make([]string, len(t.Scopes))
	for i, s := range t.Scopes {
		scopes[i] = string(s)
	}
	return wireToken{
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
		Scope:         t.Scopes.String(),
		Scopes:        scopes,
		Services:      notNil(t.Services),
	}
}

// wireCreated is a token as create shows it, the one time.
type wireCreated struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	UserID      string   `json:"user_id"`
	CustomerID  string   `json:"customer_id"`
	ServiceID   *string  `json:"service_id"` // legacy, always null
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
		ExpiresAt:   stamp(t.ExpiresAt),
		CreatedAt:   stamp(t.CreatedAt),
		UpdatedAt:   stamp(t.UpdatedAt),
		Scope:       t.Scopes.String(),
		Services:    notNil(t.Services),
		AccessToken: t.AccessToken.Reveal(),
	}
}

// stamp is a time as the API writes it; nil, null in JSON, is the zero time.
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
