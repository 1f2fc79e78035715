package httpserver

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"waybill.example/chassis/version"
)

// Check looks at one thing that the service relies on.
type Check struct {
	Name string
	// Required checks make the service not ready when they fail; the others are shown only: an
	// order is accepted while Kafka is down.
	Required bool
	// Run returns nil, or an error whose text may be shown to anybody.
	Run func(context.Context) error
}

const (
	checkTimeout = time.Second
	ready        = "ready"
	notReady     = "not ready"
	checkOK      = "ok"
)

// built answers with what the program was built from: it is the answer to "is the fix in?".
func built(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(version.Get()) // only a client that hung up fails here
}

type readiness struct {
	Status string            `json:"status"` // "ready" or "not ready"
	Checks map[string]string `json:"checks"` // name → "ok" or what is wrong
}

// readyz answers from one round of checks at a time: requests that come while it is under way share
// its answer, so that many of them cost no more than one, whatever the checks wait for.
func readyz(checks []Check) http.HandlerFunc {
	var rounds singleflight.Group
	return func(w http.ResponseWriter, r *http.Request) {
		// Detached: a client that hangs up must not take the answer from the others.
		ctx := context.WithoutCancel(r.Context())
		result, _, _ := rounds.Do("", func() (any, error) { return look(ctx, checks), nil })
		answer := result.(readiness)
		status := http.StatusOK
		if answer.Status != ready {
			status = http.StatusServiceUnavailable
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer) // the status is sent; only a client that hung up fails here
	}
}

// look runs every check, all at once.
func look(ctx context.Context, checks []Check) readiness {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	errs := make([]error, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() { errs[i] = c.Run(ctx) })
	}
	wg.Wait()
	answer := readiness{Status: ready, Checks: make(map[string]string, len(checks))}
	for i, c := range checks {
		answer.Checks[c.Name] = checkOK
		if errs[i] == nil {
			continue
		}
		answer.Checks[c.Name] = errs[i].Error()
		if c.Required {
			answer.Status = notReady
		}
	}
	return answer
}
