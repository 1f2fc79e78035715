package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/kafkatest"
)

type findings struct {
	Meanings              []struct{ Kind, Name, What, Next string }
	Searched, Unreachable []string
}

func (f findings) kinds() (kinds []string) {
	for _, m := range f.Meanings {
		kinds = append(kinds, m.Kind+" "+m.Name)
	}
	return kinds
}

func (s *system) find(q string) (f findings) {
	s.t.Helper()
	require.Equal(s.t, http.StatusOK, s.get("/v1/find?"+url.Values{"q": {q}}.Encode(), &f))
	return f
}

// What can mean several things is answered with all of them, and what is not there with where it
// was looked for. Without the other services, that is what the orchestrator itself knows.
func TestFind_AnswersWithEverythingThatItCanMean(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	s.send(created(1))
	s.command(1, contracts.TypeReserveInventory, 1)
	s.broker.Produce(t, kafkatest.Record{
		Topic: contracts.TopicOrders, Key: []byte("1"), Value: []byte("{no json"), Headers: map[string]string{"ce_type": "OrderCreated"},
	})
	s.eventually(func() bool { return s.count("select count(*) from dead_letters") == 1 }, "a dead letter")
	_, err := s.runCLI("--token", token, "batch", "retry", "--step", "reserve", "--reason", "r", "--yes")
	require.NoError(t, err)

	found := s.find("1")
	require.Equal(t, []string{"saga order/1", "dead letter orchestrator/1", "job orchestrator/1"}, found.kinds())
	require.Contains(t, found.Meanings[0].What, "RUNNING since")
	require.Equal(t, "waybill explain 1", found.Meanings[0].Next)
	require.Contains(t, found.Meanings[1].What, "from orders.v1, dead: ")
	require.Equal(t, "waybill dlq show --service=orchestrator 1", found.Meanings[1].Next)
	require.Empty(t, found.Unreachable)

	require.Equal(t, []string{"dead letter orchestrator/1", "job orchestrator/1"}, s.find("orchestrator/1").kinds())
	require.Equal(t, []string{"saga order/1"}, s.find("order/1").kinds())
	var cause string
	require.NoError(t, s.db.Pool.QueryRow(t.Context(), "select cause_id::text from saga_transitions where seq = 1").Scan(&cause))
	event := s.find(cause)
	require.Equal(t, []string{"event " + cause}, event.kinds())
	require.Contains(t, event.Meanings[0].What, "of key 1, handled by orchestrator at ")

	for _, nowhere := range []string{"orders.v1/0@99999", "orders.v1/99@0", "nowhere.v1/0@0"} {
		record := s.find(nowhere)
		require.Empty(t, record.Meanings, nowhere)
		require.Empty(t, record.Unreachable, "Kafka has answered that there is none")
		require.Equal(t, []string{"record in Kafka"}, record.Searched)
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, q := range []string{trace, strings.ToUpper(trace), "00-" + trace + "-00f067aa0ba902b7-01"} {
		require.Contains(t, strings.Join(s.find(q).Unreachable, " "), "trace, among the newest rows", q)
	}
	require.Equal(t, []string{"saga", "dead letter of orchestrator"}, s.find("a/b").Searched)

	nothing := s.find("4711")
	require.Empty(t, nothing.Meanings)
	require.Equal(t, []string{"saga", "dead letter of orchestrator", "job of the orchestrator"}, nothing.Searched)
	require.Empty(t, s.find("a'; drop table sagas; --").Meanings)
	require.Equal(t, http.StatusUnprocessableEntity, s.get("/v1/find?q=", nil))
}
