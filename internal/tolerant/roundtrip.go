package tolerant

import (
	"errors"
	"net/http"
)

// RoundTrip is rt.RoundTrip, for transports that break its contract. It returns an error, or a response
// with a body.
func RoundTrip(rt http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := rt.RoundTrip(req)
	switch {
	case err != nil:
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		return nil, err
	case resp == nil:
		return nil, errors.New("the transport returned no response and no error")
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	return resp, nil
}
