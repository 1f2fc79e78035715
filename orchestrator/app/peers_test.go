package app_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/contracts"
	"waybill.example/devstack/kafkatest"
	"waybill.example/orchestrator/app"
)

// A service that others can reach shows its dead letters to holders of its tokens. The orchestrator
// has one of its own, from a file as any secret may be. Here another orchestrator is the service.
func TestFind_ReadsTheDeadLettersOfOthersWithATokenOfItsOwn(t *testing.T) {
	const reader = "a-token-to-read-with"
	other := startSystem(t, func(c *settings) {
		c.HTTP.Addr = "0.0.0.0:0"
		c.ReadTokens = []string{"orchestrator=" + reader}
	})
	_, port, err := net.SplitHostPort(other.addr)
	require.NoError(t, err)
	other.broker.Produce(t, kafkatest.Record{
		Topic: contracts.TopicOrders, Key: []byte("17"), Value: []byte("{no json"), Headers: map[string]string{"ce_type": "OrderCreated"},
	})
	other.eventually(func() bool { return other.count("select count(*) from dead_letters") == 1 }, "a dead letter")

	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(reader+"\n"), 0o600))
	t.Setenv("ORDERS_READ_TOKEN_FILE", file)
	t.Setenv("DATABASE_URL", "postgres://set-below")
	read := app.DefaultConfig()
	require.NoError(t, config.Load(&read))
	require.NotContains(t, config.Masked(read), reader)
	s := startSystem(t, func(c *settings) {
		c.OrdersURL, c.OrdersToken = "http://127.0.0.1:"+port, read.OrdersToken
		c.InventoryURL = c.OrdersURL // asked without one
	})
	found := s.find("17")
	require.Equal(t, []string{"dead letter orders/1"}, found.kinds())
	require.Len(t, found.Unreachable, 1)
	require.Contains(t, found.Unreachable[0], "dead letter of inventory: ")
	require.Contains(t, found.Unreachable[0], "set INVENTORY_READ_TOKEN for the service that asks")
}
