package api

import (
	"fmt"
	"net/http"
)

// handleHealth routes what supervisors ask, of processes and of traffic: plain text, and the status code says it all. Neither tells
// anything about the federation.
func handleHealth(rs *routes, c Controller) {
	rs.add(route{method: http.MethodGet, path: "/healthz", summary: "200 while the process serves", media: "text/plain"}, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	rs.add(route{method: http.MethodGet, path: "/readyz", summary: "200 once the node takes part in rounds, 503 before", media: "text/plain"}, func(w http.ResponseWriter, r *http.Request) {
		if err := c.Ready(r.Context()); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
		fmt.Fprintln(w, "ok")
	})
}
