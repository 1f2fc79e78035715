package kafka_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/chassis/kafka"
	"waybill.example/devstack/certs"
	devstack "waybill.example/devstack/kafka"
	"waybill.example/devstack/loopback"
	processes "waybill.example/devstack/process"
)

// node is an Apache Kafka that takes SCRAM over TLS, from clients with a certificate.
type node struct {
	*processes.Process
	command          processes.Command
	addr             string
	servers, clients *certs.Authority
}

func startNode(t *testing.T, users map[string]string) *node {
	t.Helper()
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed: no Apache Kafka to log in to (Java 17 and Maven, which fetches Kafka)", program)
		}
	}
	port, err := loopback.FreePort()
	require.NoError(t, err)
	n := &node{addr: loopback.Addr(port), servers: certs.New(t), clients: certs.New(t)}
	pair, admin := n.servers.Issue(t, "kafka"), n.clients.Issue(t, "admin")
	n.command, err = devstack.Prepare(t.Context(), devstack.Config{Dir: t.TempDir(), Port: port, Progress: io.Discard, Users: users, TLS: &devstack.TLS{
		Cert: pair.Cert, Key: pair.Key, Clients: n.clients.File, Authority: n.servers.File, ClientCert: admin.Cert, ClientKey: admin.Key,
	}})
	require.NoError(t, err)
	log := new(processes.Buffer)
	n.command.Output = log
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Kafka wrote:\n%s", log)
		}
	})
	n.run(t)
	return n
}

func (n *node) run(t *testing.T) {
	t.Helper()
	running, err := processes.Start(n.command)
	require.NoError(t, err)
	t.Cleanup(running.Kill)
	n.Process = running
}

// as are the settings of a login that shows a certificate.
func (n *node) as(user, password string, pair certs.Pair) kafka.Config {
	return kafka.Config{
		Brokers: []string{n.addr}, SecurityProtocol: "SASL_SSL", SASLMechanism: "SCRAM-SHA-512", SASLUsername: user, SASLPassword: config.Secret(password),
		SSLCALocation: n.servers.File, SSLCertificateLocation: pair.Cert, SSLKeyLocation: pair.Key,
	}
}

// producer is what the relay sends with.
func producer(t *testing.T, c kafka.Config) *confluent.Producer {
	t.Helper()
	client, err := confluent.NewProducer(c.ProducerConfig("test", nil))
	require.NoError(t, err)
	go func() {
		for range client.Logs() { // they are read so that the client goes on
		}
	}()
	t.Cleanup(client.Close)
	return client
}

// letIn reports whether the node answers a client.
func letIn(client *confluent.Producer, within time.Duration) bool {
	_, err := client.GetMetadata(nil, true, int(within.Milliseconds()))
	return err == nil
}

// The settings of docs/security.md, with the library that the services use, against an Apache
// Kafka: SCRAM over TLS with certificates on both sides, what is refused, and a password that is
// rotated.
func TestConfig_LogsInToApacheKafkaOverTLS(t *testing.T) {
	n := startNode(t, map[string]string{devstack.Admin: "of-the-admin", "orders": "first"})
	own, foreign := n.clients.Issue(t, "orders"), certs.New(t).Issue(t, "orders")
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("first"), 0o600))
	t.Setenv("KAFKA_SASL_PASSWORD_FILE", file)
	orders := n.as("orders", "first", own)
	client := producer(t, orders)
	stop := orders.FollowLogin(client)
	defer stop()
	require.Eventually(t, func() bool { return letIn(client, 10*time.Second) }, 3*time.Minute, 100*time.Millisecond, "the node is up, and lets it in")

	for what, change := range map[string]func(*kafka.Config){
		"a wrong password":               func(c *kafka.Config) { *c = c.LoginAs("orders", "guessed") },
		"no certificate":                 func(c *kafka.Config) { c.SSLCertificateLocation, c.SSLKeyLocation = "", "" },
		"a certificate of nobody's":      func(c *kafka.Config) { c.SSLCertificateLocation, c.SSLKeyLocation = foreign.Cert, foreign.Key },
		"a node that nobody vouches for": func(c *kafka.Config) { c.SSLCALocation = n.clients.File },
		"in the clear":                   func(c *kafka.Config) { c.SecurityProtocol = "SASL_PLAINTEXT" },
	} {
		c := orders
		change(&c)
		require.False(t, letIn(producer(t, c), 3*time.Second), what)
	}

	// The password is rotated, and all connections are cut.
	admin, err := confluent.NewAdminClientFromProducer(producer(t, n.as("", "", own).LoginAs(devstack.Admin, "of-the-admin")))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	result, err := admin.AlterUserScramCredentials(ctx, []confluent.UserScramCredentialUpsertion{{
		User: "orders", Password: []byte("second"), ScramCredentialInfo: confluent.ScramCredentialInfo{Mechanism: confluent.ScramMechanismSHA512, Iterations: 8192},
	}}, nil)
	require.NoError(t, err)
	require.Equal(t, confluent.ErrNoError, result.Errors["orders"].Code())
	n.Kill()
	n.run(t)
	require.NoError(t, os.WriteFile(file, []byte("second"), 0o600))
	require.Eventually(t, func() bool { return letIn(client, 10*time.Second) }, 3*time.Minute, 100*time.Millisecond, "the same client, with the new password")
	require.False(t, letIn(producer(t, orders.LoginAs("orders", "first")), 3*time.Second), "the old one")
}
