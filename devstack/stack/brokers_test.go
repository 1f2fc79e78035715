package stack

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// Of several brokers each can be acted on by its name, and all by that of the one.
func TestAct_BrokerStandsForAllOfTheCluster(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	var brokers []*unit
	for _, name := range brokerNames(3) {
		u := script(t, dir, name, "echo ready; trap '' TERM; while :; do sleep 0.01; done") // as one without a quorum
		u.inCluster = true
		brokers = append(brokers, u)
	}
	s, _, err := start(t, brokers, []*unit{script(t, dir, "orders", obedient)}, dir)
	require.NoError(t, err)
	running := func() (names []string) {
		for _, p := range s.status() {
			if p.State == Running {
				names = append(names, p.Name)
			}
		}
		return names
	}

	require.NoError(t, s.Act(t.Context(), Kill, "broker-2"))
	require.Equal(t, []string{"broker-1", "broker-3", "orders"}, running())
	require.ErrorContains(t, s.Act(t.Context(), Kill, Broker), "broker-2 does not run")
	require.Equal(t, []string{"orders"}, running())
	require.NoError(t, s.Act(t.Context(), Start, Broker))
	require.Equal(t, []string{"broker-1", "broker-2", "broker-3", "orders"}, running())
	require.ErrorContains(t, s.Act(t.Context(), Kill, "broker-4"), `no process "broker-4"`)
	require.ErrorContains(t, s.Act(t.Context(), Kill, "brok"), `no process "brok"`)
	require.NoError(t, s.Down(context.WithoutCancel(t.Context())), "brokers without a quorum do not end in order")
	require.Empty(t, running())
}

func TestState_BrokersAreListedAsClientsWantThem(t *testing.T) {
	t.Parallel()
	of := func(names ...string) (s State) {
		for _, name := range names {
			s.Processes = append(s.Processes, Process{Name: name, Addr: name + ":9092"})
		}
		return s
	}
	require.Equal(t, "broker:9092", of("postgres", "broker", "orders").Brokers())
	require.Equal(t, "broker-1:9092,broker-2:9092,broker-3:9092", of("postgres", "broker-1", "broker-2", "broker-3", "orders").Brokers())
}
