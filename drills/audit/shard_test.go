package audit

import (
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/commandline"
)

// What an audit of a shard proposes is run against that shard, by names that an operator has.
func TestInShard_CommandsNameTheShardsDatabases(t *testing.T) {
	t.Parallel()
	var shard contracts.Shard
	require.NoError(t, shard.UnmarshalText([]byte("1")))
	w := row{Database: "orders", ID: 18, Key: "17", Topic: "orders.v1.dlq", Letter: 3}
	var lines []string
	for command, want := range map[string]string{
		"":                                 "",
		repairExplain(17):                  `ORCHESTRATOR_URL="$ORCHESTRATOR1_URL" orchestrator saga explain 17`,
		repairOverdue(17):                  `ORCHESTRATOR_URL="$ORCHESTRATOR1_URL" orchestrator saga explain 17 && ORCHESTRATOR_URL="$ORCHESTRATOR1_URL" orchestrator saga retry 17 --reason overdue`,
		repairShow(17):                     `curl -s "$ORDERS1_URL"/v1/orders/17`,
		repairPending(w):                   `outbox-relay pending --database=orders-1`,
		repairLook(w):                      `outbox-relay show 18 --database=orders-1`,
		repairStuck("orders", []int64{18}): `outbox-relay stuck retry --database=orders-1 18`,
		repairMissing:                      `psql "$ORCHESTRATOR1_DB" -At -f docs/recover-orders.sql | psql "$ORDERS1_DB" -v ON_ERROR_STOP=1 --single-transaction`,
		repairDeadLetter(w, false):         `ORDERS_URL="$ORDERS1_URL" waybill dlq redrive 3 --service=orders --reason=repaired`,
		lookAtStock(stockLevel{}):          `psql "$INVENTORY1_DB" -c 'select encode(convert_to(sku, '\''UTF8'\''), '\''escape'\''), * from stock where received = 0 and on_hand = 0'`,
	} {
		require.Equal(t, want, inShard(shard, command))
		require.Equal(t, command, inShard(contracts.Shard{}, command))
		lines = append(lines, inShard(shard, command))
	}
	for command := range repairs("o'brien's --database=orders") {
		lines = append(lines, inShard(shard, command))
	}
	programs := commandline.New(t)
	for _, line := range lines {
		if line != "" {
			programs.Require(t, line)
		}
	}
}
