package fastlytest

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// revokeBulk revokes all tokens of the request, or none.
func (st *state) revokeBulk(c *call) (response, *problem) {
	if p := st.authenticate(c, accessWrite); p != nil {
		return response{}, p
	}
	ids, p := parseBulk(c.header, c.body)
	if p != nil {
		return response{}, p
	}
	found := make([]*token, len(ids))
	for i, id := range ids {
		if found[i], p = st.find(c, id); p != nil {
			return response{}, p
		}
	}
	return revoke(c, found...), nil
}

// parseBulk reads the IDs of a bulk revoke (JSON:API, bulk extension). Names
// are compared to the letter, which decoding into structs would not do.
func parseBulk(h http.Header, body []byte) (ids []string, p *problem) {
	if params, ok := mediaType(h, "application/vnd.api+json"); !ok || params["ext"] != "bulk" {
		return nil, newProblem(http.StatusUnsupportedMediaType, "The Content-Type must be application/vnd.api+json; ext=bulk")
	}
	bad := newProblem(http.StatusBadRequest, `The body must be {"data":[{"type":"token","id":"…"}]} with one or more tokens`)
	var doc map[string]any
	if err := json.Unmarshal(bytes.TrimSpace(body), &doc); err != nil {
		return nil, bad
	}
	data, _ := doc["data"].([]any)
	for _, item := range data {
		object, _ := item.(map[string]any)
		id, _ := object["id"].(string)
		if object["type"] != "token" || id == "" {
			return nil, bad
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, bad
	}
	return ids, nil
}
