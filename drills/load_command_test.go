package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/drills/load"
)

// taker accepts orders, and keeps what was ordered.
type taker struct {
	mu     sync.Mutex
	orders []contracts.OrderCreated
}

func (s *taker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var order contracts.OrderCreated
	if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.orders = append(s.orders, order)
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, `{"id":%d}`, len(s.orders))
}

func TestLoad_PlacesOrdersOfAsManyLinesAsAreAskedFor(t *testing.T) {
	t.Parallel()
	s := &taker{}
	server := httptest.NewServer(s)
	defer server.Close()
	ledger := filepath.Join(t.TempDir(), "ledger")
	out, err := drills(t, "load", "--url", server.URL, "--rate", "200", "--for", "1s", "--lines", "2", "--sku", "a,b,c", "--ledger", ledger)
	require.NoError(t, err)
	require.Regexp(t, fmt.Sprintf(`^%d orders accepted of %[1]d; the answer took`, len(s.orders)), out)
	require.Greater(t, len(s.orders), 3)
	pairs := map[string]bool{}
	for _, o := range s.orders {
		require.Empty(t, o.SKU)
		require.Len(t, o.Items, 2)
		pairs[o.Items[0].SKU+o.Items[1].SKU] = true
	}
	require.Equal(t, map[string]bool{"ab": true, "bc": true, "ca": true}, pairs)
	var recorded []load.Entry
	for e, err := range load.ReadLedger(ledger) {
		require.NoError(t, err)
		recorded = append(recorded, e)
	}
	require.Len(t, recorded, len(s.orders))

	s.orders = nil
	_, err = drills(t, "load", "--url", server.URL, "--rate", "200", "--for", "1s")
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(s.orders, func(o contracts.OrderCreated) bool { return o.SKU == "cola" && len(o.Items) == 0 }))
}

func TestLoad_SaysWhatItCannotDo(t *testing.T) {
	t.Parallel()
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	for want, args := range map[string][]string{
		"an order of 3 lines needs as many different skus, and --sku has 2": {"load", "--lines", "3", "--url", refusing.URL},
		"an order of 0 lines":          {"load", "--lines", "0", "--url", refusing.URL},
		"has no stack.json":            {"load", "--dir", t.TempDir()},
		"not every order was accepted": {"load", "--url", refusing.URL, "--for", "1s"},
	} {
		_, err := drills(t, args...)
		require.ErrorContains(t, err, want)
	}
}
