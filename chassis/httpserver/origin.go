package httpserver

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"waybill.example/chassis/problem"
)

// sameOrigin refuses what a web page of another origin has a browser send, unless it only reads
// (Sec-Fetch-Site, or Origin in older browsers). Tokens protect what operators change; this
// protects what needs none, a cancellation for instance, from any page that its user has open.
func sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		WriteProblem(w, r, problem.Forbidden, "a page of another origin may not change anything here")
	}))
	return protection.Handler(next)
}

// KnownHosts refuses requests that are meant for another host (421). On a loopback address they
// come from a browser that resolved a name so: a page of evil.example whose name is 127.0.0.1 is of
// the same origin as we are, and could read all answers (DNS rebinding). Allowed are localhost,
// loopback addresses and hosts, names without a port; on an address that is not loopback all,
// unless there are hosts.
func KnownHosts(listener net.Addr, hosts []string, next http.Handler) http.Handler {
	local := false
	if tcp, ok := listener.(*net.TCPAddr); ok {
		local = tcp.IP.IsLoopback()
	}
	if !local && len(hosts) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.ToLower(hostname(r.Host))
		addr, err := netip.ParseAddr(name)
		known := err == nil && addr.IsLoopback() || name == "localhost" ||
			slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, name) })
		if !known {
			WriteProblem(w, r, problem.Misdirected, "this host is not served here; HTTP_HOSTS names those that are")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostname is a Host header without port, brackets and final dot.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.Trim(host, "[]"), ".")
}
