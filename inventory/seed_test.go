package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// Stock that somebody changed since must not be set back by a second `docker compose up`.
func TestSeed_SetsOnlyWhatHasNoStock(t *testing.T) {
	t.Parallel()
	onHand := map[string]bool{"/v1/stock/burger": true}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodPut || r.Header.Get("If-None-Match") != "*":
			w.WriteHeader(http.StatusBadRequest)
		case onHand[r.URL.Path]:
			w.WriteHeader(http.StatusPreconditionFailed)
		default:
			onHand[r.URL.Path] = true
			w.WriteHeader(http.StatusCreated)
		}
	}))
	t.Cleanup(api.Close)
	s := seed{URL: api.URL, Stock: map[string]int64{"burger": 1000, "a/b": 1}}
	require.NoError(t, s.Run(t.Context()))
	require.NoError(t, s.Run(t.Context()), "it may run again")
	require.Len(t, onHand, 2)
	require.Error(t, seed{URL: api.URL + "/elsewhere\n", Stock: s.Stock}.Run(t.Context()))
}
