package app_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
)

type event struct{ id, name, comment string }

func (s *system) follow(path, last string) (int, <-chan event) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.addr+path, nil)
	require.NoError(s.t, err)
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	events := make(chan event, 100)
	go func() {
		defer close(events)
		defer response.Body.Close()
		var now event
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				now.id = value
			case "event":
				now.name = value
			case "":
				if value != "" {
					events <- event{comment: value}
				} else if now.name != "" {
					events <- now
					now = event{}
				}
			}
		}
	}()
	return response.StatusCode, events
}

func (s *system) events(path string) <-chan string {
	status, events := s.follow(path, "")
	require.Equal(s.t, http.StatusOK, status)
	names := make(chan string, 100)
	go func() {
		defer close(names)
		for e := range events {
			if e.name != "" {
				names <- e.name
			}
		}
	}()
	return names
}

func TestStream_GoesOnAfterTheLastEventAndEndsForGood(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	status, _ := s.follow("/v1/sagas/1/stream", "")
	require.Equal(t, http.StatusNotFound, status)
	s.send(created(1))
	s.command(1, contracts.TypeReserveInventory, 1)
	s.intervene("/v1/sagas/1/force?wait=0", `{"reason":"x","end":"CONFIRMED"}`)
	all := func(last string) (seen []event) {
		status, events := s.follow("/v1/sagas/1/stream", last)
		require.Equal(t, http.StatusOK, status)
		for e := range events {
			seen = append(seen, e)
		}
		return seen
	}
	require.Equal(t, []event{{id: "1", name: "transition"}, {id: "2", name: "transition"}, {id: "2-end", name: "end"}}, all(""))
	require.Equal(t, []event{{id: "2", name: "transition"}, {id: "2-end", name: "end"}}, all("1"))
	require.Equal(t, []event{{id: "2-end", name: "end"}}, all("2"), "the end alone was missed")
	require.Equal(t, all(""), all("9"), "a client that knows more than a restored database")
	status, _ = s.follow("/v1/sagas/1/stream", "2-end")
	require.Equal(t, http.StatusNoContent, status)
	status, _ = s.follow("/v1/sagas/1/stream", "x")
	require.Equal(t, http.StatusUnprocessableEntity, status)
}

func TestAStreamTellsEachTransitionUntilTheEnd(t *testing.T) {
	t.Parallel()
	s := startSystem(t, nil)
	s.send(created(1))
	reserve := s.command(1, contracts.TypeReserveInventory, 1)
	events := s.events("/v1/sagas/1/stream")
	require.Equal(t, "transition", <-events)
	s.send(contracts.InventoryRejected{Envelope: contracts.NewEnvelope(1, reserve, time.Now()), Reason: "none left"})
	require.Equal(t, "transition", <-events)
	cancel := s.command(1, contracts.TypeCancelOrder, 1)
	s.send(contracts.OrderCancelled{Envelope: contracts.NewEnvelope(1, cancel, time.Now()), Reason: "none left"})
	require.Equal(t, "transition", <-events)
	require.Equal(t, "end", <-events)
	_, open := <-events
	require.False(t, open)
}

func TestAnOpenStreamDoesNotHoldUpTheStop(t *testing.T) {
	t.Parallel()
	s := startSystem(t, nil)
	s.send(created(1))
	s.command(1, contracts.TypeReserveInventory, 1)
	response, err := http.Get("http://" + s.addr + "/v1/sagas/1/stream")
	require.NoError(t, err)
	defer response.Body.Close()
	began := time.Now()
	s.stop()
	require.Less(t, time.Since(began), 15*time.Second, "what does not stop in time is given up after 20 s")
}
