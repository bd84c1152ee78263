// Package origin compares where requests go.
package origin

import (
	"cmp"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Host returns host:port in lower case, with the scheme's default port.
func Host(host, scheme string) string {
	u := url.URL{Host: host}
	defaultPort := "443"
	if scheme == "http" {
		defaultPort = "80"
	}
	return strings.ToLower(u.Hostname()) + ":" + cmp.Or(u.Port(), defaultPort)
}

// IsLoopback reports whether a host without a port is this machine.
func IsLoopback(hostname string) bool {
	addr, err := netip.ParseAddr(hostname)
	return strings.EqualFold(hostname, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// IsHTTPS reports whether resp, a redirect, came over https.
func IsHTTPS(resp *http.Response) bool {
	return resp != nil && resp.Request != nil && resp.Request.URL != nil && resp.Request.URL.Scheme == "https"
}
