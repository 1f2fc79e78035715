package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/chassis/kafka"
	"waybill.example/outbox-relay/internal/databases"
)

func TestConfig_EachDatabaseHasAKafkaLoginOfItsOwn(t *testing.T) {
	t.Parallel()
	c := Config{
		Databases:   databases.Setting{List: "orders=postgres://a/orders,stock=postgres://a/stock"},
		KafkaLogins: "orders=relay-orders:a=b:c;\nstock=relay-stock:hunter2",
		Kafka:       kafka.Config{SecurityProtocol: "sasl_ssl", SASLUsername: "relay", SASLPassword: "all"},
	}
	logins, faults := c.logins()
	require.Empty(t, faults)
	require.Equal(t, map[string]login{"orders": {"relay-orders", "a=b:c"}, "stock": {"relay-stock", "hunter2"}}, logins)
	as := logins["stock"].as(c.Kafka)
	require.Equal(t, []string{"relay-stock", "hunter2"}, []string{as.SASLUsername, string(as.SASLPassword)})
	require.Equal(t, "relay", c.Kafka.SASLUsername)
}

// A login that is ignored, or a database that was forgotten, would send with more rights than
// meant.
func TestConfig_LoginsThatWouldNotBeUsedAreRefusedWithoutShowingThem(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"orders=relay:hunter2":                                   "RELAY_KAFKA_LOGINS has no login for stock",
		"orders=relay:hunter2,hunter2":                           "entry 2 is not of that form",
		"orders=relay:hunter2,stock=hunter2":                     "entry 2 is not of that form",
		"orders=a:hunter2,stock=b:hunter2,orders=c:hunter2":      "RELAY_KAFKA_LOGINS has two logins for orders",
		"orders=a:hunter2,stock=b:hunter2,hunter2=hunter2:hunte": "entry 3 is for no database of RELAY_DATABASES",
	} {
		c := Config{
			Databases:   databases.Setting{List: "orders=postgres://a/orders,stock=postgres://a/stock"},
			KafkaLogins: config.Secret(list), Kafka: kafka.Config{SecurityProtocol: "SASL_SSL"},
		}
		_, faults := c.logins()
		require.NotEmpty(t, faults, list)
		require.ErrorContains(t, faults[0], want, list)
		for _, fault := range faults {
			require.NotContains(t, fault.Error(), "hunter2")
		}
	}

	c := Config{
		Databases: databases.Setting{List: "orders=postgres://a/orders"}, KafkaLogins: "orders=a:b",
		Kafka: kafka.Config{SecurityProtocol: "PLAINTEXT", Properties: []string{"sasl.username = other"}},
	}
	_, faults := c.logins()
	require.Len(t, faults, 2)
	require.ErrorContains(t, faults[0], "is not used with KAFKA_SECURITY_PROTOCOL=PLAINTEXT")
	require.ErrorContains(t, faults[1], "KAFKA_PROPERTIES sets a login")
}
