package app

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/kafka"
	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/relay"
)

func TestBrokerTrouble_SaysWhichRowsWait(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 10, 2, 0, 0, time.UTC)
	require.NoError(t, brokerTrouble(relay.Status{}))
	require.EqualError(t, brokerTrouble(relay.Status{Waits: map[string]time.Time{"b.v1": at.Add(time.Second), "a.v1": at}}),
		"rows for topic a.v1 wait for the broker since 10:02:00; rows for topic b.v1 wait for the broker since 10:02:01")
	require.EqualError(t, brokerTrouble(relay.Status{BrokerErr: errors.New("x"), BrokerDownSince: at}),
		"no broker answers since 10:02:00; rows wait in the database")
	require.ErrorContains(t, brokerTrouble(relay.Status{BrokerErr: relay.ErrProducerEnds, BrokerDownSince: at}), "ends again and again since 10:02:00")
}

// A fault of the Kafka settings is not shown as one of the database.
func TestDatabaseTrouble_TellsSettingsFromDatabases(t *testing.T) {
	t.Parallel()
	_, err := publish.NewClients(kafka.Config{Brokers: []string{"b:1"}, SecurityProtocol: "none"}, slog.New(slog.DiscardHandler)).Prober("orders")
	require.Error(t, err)
	require.ErrorContains(t, databaseTrouble(relay.Status{State: relay.Connecting, Err: err}), "Kafka setting")
	require.ErrorContains(t, databaseTrouble(relay.Status{State: relay.Connecting, Err: errors.New("dial")}), "database does not answer")
	require.NoError(t, databaseTrouble(relay.Status{State: relay.Standby}))
}

// One database that cannot be reached makes the process unready if it is the only one.
func TestSources_AreInTroubleOnlyTogether(t *testing.T) {
	t.Parallel()
	s := relay.NewSource("orders", "postgres://127.0.0.1:1/x", "here", kafka.Config{}, relay.Options{}, relay.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	require.EqualError(t, sources{s}.trouble(), "orders: connecting")
	for _, check := range (sources{s, s}).checks()[1:] {
		require.False(t, check.Required, check.Name)
	}
}
