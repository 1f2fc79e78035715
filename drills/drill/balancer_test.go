package drill

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func instance(t *testing.T, name string, hold <-chan struct{}) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-hold
		_, _ = io.WriteString(w, name)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// An instance that is taken out gets no new request, and nobody stops it before it has answered
// those that it has.
func TestTheBalancerEmptiesAnInstanceBeforeItLetsGoOfIt(t *testing.T) {
	t.Parallel()
	open, held := make(chan struct{}), make(chan struct{})
	close(open)
	a, b := instance(t, "a", open), instance(t, "b", held)
	balancer, err := newBalancer([]string{a, b})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, balancer.Close()) })
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	get := func() string {
		response, err := client.Get(balancer.url())
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return string(body)
	}

	answers := make(chan string, 2)
	var asking sync.WaitGroup
	for range 2 {
		asking.Go(func() { answers <- get() })
	}
	require.Equal(t, "a", <-answers)
	removed := make(chan struct{})
	go func() { defer close(removed); balancer.remove(b) }()
	require.Eventually(t, func() bool { return get() == "a" }, waitABit, tick, "the other takes over")
	for range 4 {
		require.Equal(t, "a", get(), "all go to the other")
	}
	select {
	case <-removed:
		t.Fatal("it let go of an instance that had not answered")
	default:
	}
	close(held)
	require.Equal(t, "b", <-answers)
	<-removed
	asking.Wait()
}
