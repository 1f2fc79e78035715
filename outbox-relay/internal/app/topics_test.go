package app

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/outbox-relay/internal/relay"
)

func topicsConfig(topics string) Config {
	c := DefaultConfig()
	c.Databases.List = "orders=postgres://h/orders,inventory=postgres://h/inventory"
	c.Topics = topics
	return c
}

func TestTopics_AreReadForEachDatabase(t *testing.T) {
	t.Parallel()
	want := map[string]relay.Topics{"orders": {"orders.v1", "*.dlq"}, "inventory": {"*"}}
	for _, list := range []string{
		"orders=orders.v1|*.dlq,inventory=*", "orders=orders.v1|*.dlq;inventory=*", "\n inventory=*\n orders=orders.v1|*.dlq \n",
	} {
		c := topicsConfig(list)
		require.Empty(t, c.Validate())
		allowed, faults := c.topics()
		require.Empty(t, faults)
		require.Equal(t, want, allowed, "%q", list)
	}
	for _, list := range []string{"", " ,;\n"} {
		allowed, faults := topicsConfig(list).topics()
		require.Empty(t, faults)
		require.Nil(t, allowed, "all is allowed")
	}
}

func TestTopics_EveryFaultIsReported(t *testing.T) {
	t.Parallel()
	for list, fault := range map[string]string{
		"orders": `"orders" is not of that form`, "=a,orders=a,inventory=a": `"=a" is not of that form`,
		"orders=,inventory=a": `"" of orders is no topic`, "orders=a||b,inventory=a": `"" of orders is no topic`,
		"orders=a*b,inventory=a": `"a*b" of orders is no topic`, "orders=*a*,inventory=a": `"*a*" of orders is no topic`,
		"orders=ä,inventory=a": `"ä" of orders is no topic`, "orders=a,orders=b,inventory=a": "names orders twice",
		"orders=a,inventory=a,billing=a": "names billing, which RELAY_DATABASES does not",
		"orders=a":                       "does not name inventory; inventory=* allows it every topic",
	} {
		c := topicsConfig(list)
		c.BatchRows = 0
		err := errors.Join(c.Validate()...)
		require.ErrorContains(t, err, fault, "%q", list)
		require.ErrorContains(t, err, "RELAY_BATCH_ROWS", "with the others")
	}
}
