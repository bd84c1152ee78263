package tolerant

import (
	"errors"
	"net/http"
)

// RoundTrip copes with transports that break the contract of RoundTrip. Its response has a body.
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
