package publish

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	chassis "waybill.example/chassis/kafka"
)

// Databases share a few clients, which are opened when they are needed and closed with their last
// user.
func TestClients_AreOpenedWhenTheyAreNeededAndClosedWithTheirLastUser(t *testing.T) {
	t.Parallel()
	c := NewClients(chassis.Config{Brokers: []string{"127.0.0.1:1"}, SecurityProtocol: "PLAINTEXT"}, slog.New(slog.DiscardHandler))
	require.False(t, c.Fit(chassis.Config{Brokers: []string{"127.0.0.1:1"}, SecurityProtocol: "PLAINTEXT", SASLUsername: "orders"}))
	require.True(t, c.Fit(chassis.Config{Brokers: []string{"127.0.0.1:1"}, SecurityProtocol: "PLAINTEXT"}))
	var shares []*Producer
	for range sharesPerClient + 1 {
		p, err := c.Share("orders")
		require.NoError(t, err)
		shares = append(shares, p)
	}
	require.Len(t, c.sharing, 2)
	shares[0].Retire()
	require.Len(t, c.sharing, 1, "nobody else gets a share in what is retired")
	require.True(t, shares[1].Retired())
	require.False(t, shares[sharesPerClient].Retired())

	shares[sharesPerClient].Purge()
	require.Empty(t, c.sharing)
	require.NotNil(t, <-shares[sharesPerClient].Complaints(), "all who share what has ended are notified")
	prober, err := c.Prober("orders")
	require.NoError(t, err)
	another, err := c.Prober("inventory")
	require.NoError(t, err)
	for _, p := range shares {
		p.Close()
	}
	prober.Close()
	require.NotNil(t, c.prober)
	another.Close()
	require.Nil(t, c.prober)
}
