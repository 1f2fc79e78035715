package httpserver

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// Check looks at one thing that the service relies on.
type Check struct {
	Name string
	// Required checks make the service not ready when they fail; the others are shown only: an
	// order is accepted while Kafka is away.
	Required bool
	// Run returns nil, or an error whose text may be shown to anybody.
	Run func(context.Context) error
}

const checkTimeout = time.Second

type readiness struct {
	Status string            `json:"status"` // "ready" or "not ready"
	Checks map[string]string `json:"checks"` // name → "ok" or what is wrong
}

func readyz(checks []Check) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
		defer cancel()
		errs := make([]error, len(checks))
		var wg sync.WaitGroup
		for i, c := range checks {
			wg.Go(func() { errs[i] = c.Run(ctx) })
		}
		wg.Wait()

		status, answer := http.StatusOK, readiness{Status: "ready", Checks: make(map[string]string, len(checks))}
		for i, c := range checks {
			answer.Checks[c.Name] = "ok"
			if errs[i] == nil {
				continue
			}
			answer.Checks[c.Name] = errs[i].Error()
			if c.Required {
				status, answer.Status = http.StatusServiceUnavailable, "not ready"
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer) // the status is sent; only a client that hung up fails here
	}
}
