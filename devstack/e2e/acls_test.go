package e2e_test

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"waybill.example/contracts"
	"waybill.example/devstack/kafka"
	"waybill.example/devstack/loopback"
	"waybill.example/devstack/process"
	"waybill.example/devstack/stack"
)

// securedKafka is an Apache Kafka with its authorizer on, which refuses what no ACL allows.
type securedKafka struct {
	config kafka.Config
	addr   string
}

// startSecuredKafka starts one whose users are the admin and the principals, without ACLs, with
// Waybill's topics.
func startSecuredKafka(t *testing.T, principals ...string) *securedKafka {
	t.Helper()
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed: no Apache Kafka to try the ACLs on (Java 17 and Maven, which fetches Kafka)", program)
		}
	}
	port, err := loopback.FreePort()
	require.NoError(t, err)
	config := kafka.Config{Dir: t.TempDir(), Port: port, Progress: io.Discard, Users: map[string]string{kafka.Admin: rand.Text()}}
	for _, name := range principals {
		config.Users[name] = rand.Text()
	}
	command, err := kafka.Prepare(t.Context(), config)
	require.NoError(t, err)
	log := new(process.Buffer)
	command.Output = log
	node, err := process.Start(command)
	require.NoError(t, err)
	t.Cleanup(func() {
		node.Kill()
		if t.Failed() {
			t.Logf("Kafka wrote:\n%s", log)
		}
	})
	k := &securedKafka{config, loopback.Addr(port)}
	admin := k.client(t, kafka.Admin)
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	require.NoError(t, node.AwaitReady(ctx, admin.Ping))
	require.Empty(t, createTopics(t, admin, contracts.Topics()...))
	return k
}

// client connects as a principal, with retries few enough for a refusal to be seen.
func (k *securedKafka) client(t *testing.T, principal string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	login := scram.Auth{User: principal, Pass: k.config.Users[principal]}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(k.addr), kgo.SASL(login.AsSha512Mechanism()),
	}, options...)...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// env are the settings with which a service logs in.
func (k *securedKafka) env(principal string) []string {
	return []string{"KAFKA_SASL_USERNAME=" + principal, "KAFKA_SASL_PASSWORD=" + k.config.Users[principal]}
}

// applyPage runs every kafka-acls command of docs/security.md as it stands there.
func (k *securedKafka) applyPage(t *testing.T) {
	t.Helper()
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(workspace, "docs", "security.md"))
	require.NoError(t, err)
	applied := 0
	for line := range strings.Lines(string(page)) {
		if words := strings.Fields(line); len(words) > 3 && slices.Equal(words[:3], []string{"kafka-acls", "--bootstrap-server", "…"}) {
			require.NoError(t, kafka.ACLs(t.Context(), k.config, words[3:]...), line)
			applied++
		}
	}
	require.NotZero(t, applied, "the page has commands")
}

// Who may do what, as docs/security.md promises. What is not here has to be refused.
type rights struct {
	write, read []string
	group       string
}

var principals = map[string]rights{
	"relay":        {write: contracts.Topics()},
	"relay-orders": {write: []string{contracts.TopicOrders, contracts.DeadLetterTopic(contracts.TopicOrderCommands)}},
	"relay-inventory": {
		write: []string{contracts.TopicInventory, contracts.DeadLetterTopic(contracts.TopicInventoryCommands)},
	},
	"relay-orchestrator": {write: []string{
		contracts.TopicOrderCommands, contracts.TopicInventoryCommands,
		contracts.DeadLetterTopic(contracts.TopicOrders), contracts.DeadLetterTopic(contracts.TopicInventory),
	}},
	"orders":       {read: []string{contracts.TopicOrderCommands}, group: contracts.GroupOrders},
	"inventory":    {read: []string{contracts.TopicInventoryCommands}, group: contracts.GroupInventory},
	"orchestrator": {read: []string{contracts.TopicOrders, contracts.TopicInventory}, group: contracts.GroupOrchestrator},
	"audit":        {read: contracts.Topics()},
	"relay-trips":  {}, // of a service with topics of its own
	"mallory":      {},
}

// The ACLs of docs/security.md let each principal do its work, and nothing else: the whole stack
// runs with them, then each principal tries everything.
//
//nolint:paralleltest // the brokers' address is an environment variable
func TestACLs_EachPrincipalDoesItsWorkAndNothingElse(t *testing.T) {
	names := make([]string, 0, len(principals))
	for name := range principals {
		names = append(names, name)
	}
	k := startSecuredKafka(t, names...)
	k.applyPage(t)

	t.Run("orders are confirmed, and dead letters arrive", k.wholeStack)
	for _, name := range names {
		t.Run(name+" writes", func(t *testing.T) { k.tryWrites(t, name, principals[name]) })
	}
	for _, name := range names {
		t.Run(name+" reads", func(t *testing.T) { k.tryReads(t, name, principals[name]) })
		t.Run(name+" joins groups", func(t *testing.T) { k.tryGroups(t, name, principals[name]) })
		t.Run(name+" administers nothing", func(t *testing.T) { k.tryAdministration(t, name) })
	}
	t.Run("relay-trips creates topics of its names", k.tryTopics)
	t.Run("who cannot log in does nothing", k.tryStrangers)
}

// wholeStack runs the services as their principals, the relay with a login for each database.
func (k *securedKafka) wholeStack(t *testing.T) {
	t.Setenv(stack.EnvBrokers, k.addr)
	t.Setenv("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
	t.Setenv("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")
	var logins []string
	for _, database := range []string{stack.Orders, stack.Inventory, stack.Orchestrator} {
		logins = append(logins, database+"=relay-"+database+":"+k.config.Users["relay-"+database])
	}
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	s := &system{dir: newDir(t)}
	running, err := stack.Up(t.Context(), stack.Config{
		Workspace: workspace, Dir: s.dir, EphemeralPorts: true, Console: stack.NewConsole(io.Discard, false),
		Env: map[string][]string{
			stack.Orders: k.env("orders"), stack.Inventory: k.env("inventory"), stack.Orchestrator: k.env("orchestrator"),
			stack.Relay: {"RELAY_KAFKA_LOGINS=" + strings.Join(logins, ",")},
		},
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, running.Down(context.WithoutCancel(t.Context()))) }()

	s.tutorial(t)
	s.rejections(t)

	// A command that cannot be read becomes a dead letter, which the relay sends as Orders' own.
	garbage := &kgo.Record{Topic: contracts.TopicOrderCommands, Key: []byte("1"), Value: []byte("garbage")}
	require.NoError(t, k.client(t, "relay").ProduceSync(t.Context(), garbage).FirstErr())
	dead := k.client(t, "audit", kgo.ConsumeTopics(contracts.DeadLetterTopic(contracts.TopicOrderCommands)))
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	require.NotEmpty(t, dead.PollRecords(ctx, 1).Records(), "the dead letter arrives")

	k.tenantForgesAnEvent(t, s)
}

// Who may write to Inventory's outbox cannot have the relay write to a topic of Orders.
func (k *securedKafka) tenantForgesAnEvent(t *testing.T, s *system) {
	t.Helper()
	state, err := stack.Read(s.dir)
	require.NoError(t, err)
	db, err := pgx.Connect(t.Context(), state.Databases[stack.Inventory])
	require.NoError(t, err)
	defer db.Close(t.Context())
	_, err = db.Exec(t.Context(), `insert into outbox (topic, key, type, payload) values ('orders.v1', '1', 'OrderCreated', '{}')`)
	require.NoError(t, err)
	var code string
	await(t, "the row is stuck", func() bool {
		return db.QueryRow(t.Context(), `select error_code from outbox_stuck where topic = 'orders.v1'`).Scan(&code) == nil
	})
	require.Equal(t, "TOPIC_AUTHORIZATION_FAILED", code)
	await(t, "the others to go on", func() bool {
		status, _, _ := call(t, http.MethodGet, s.url(t, stack.Relay, "/readyz"), "")
		return status == http.StatusOK
	})
	require.Equal(t, "CONFIRMED", s.outcome(t, s.place(t, `{"userId":"u1","sku":"burger","quantity":1}`)).Status)
}

func (k *securedKafka) tryWrites(t *testing.T, name string, may rights) {
	var records []*kgo.Record
	for _, topic := range contracts.Topics() {
		records = append(records, &kgo.Record{Topic: topic, Value: []byte("tried by " + name)})
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	idempotent := k.client(t, name, kgo.RecordDeliveryTimeout(time.Minute))
	for _, result := range idempotent.ProduceSync(ctx, records...) {
		requireAllowed(t, slices.Contains(may.write, result.Record.Topic), result.Err, "write to "+result.Record.Topic)
	}
	requireAllowed(t, false, initTransaction(t, idempotent), "begin a transaction")
}

func (k *securedKafka) tryReads(t *testing.T, name string, may rights) {
	client := k.client(t, name, kgo.MaxVersions(kversion.V2_8_0())) // which asks for topics by name
	for _, topic := range contracts.Topics() {
		requireAllowed(t, slices.Contains(may.read, topic), fetch(t, client, topic), "read "+topic)
	}
}

func (k *securedKafka) tryGroups(t *testing.T, name string, may rights) {
	client := k.client(t, name)
	for _, group := range []string{contracts.GroupOrders, contracts.GroupInventory, contracts.GroupOrchestrator, "another"} {
		requireAllowed(t, group == may.group, joinGroup(t, client, group), "join "+group)
	}
}

func (k *securedKafka) tryAdministration(t *testing.T, name string) {
	client := k.client(t, name)
	for what, err := range administer(t, client, name) {
		requireAllowed(t, false, err, what)
	}
}

// tryTopics sends what `outbox-relay topic create` and the console's relay do: look a topic up,
// read its configuration, create one like it. Then the relay writes to it.
func (k *securedKafka) tryTopics(t *testing.T) {
	relay, other := k.client(t, "relay-trips"), k.client(t, "relay-orders")
	require.ErrorIs(t, lookUp(t, relay, "trips.v1"), kerr.UnknownTopicOrPartition, "its rows are stuck as UNKNOWN_TOPIC")
	require.ErrorIs(t, lookUp(t, other, "trips.v1"), kerr.TopicAuthorizationFailed, "its rows are stuck as TOPIC_AUTHORIZATION_FAILED")
	require.Empty(t, createTopics(t, relay, "trips.v1"))
	await(t, "the new topic is known", func() bool { return lookUp(t, relay, "trips.v1") == nil })
	requireAllowed(t, true, describeConfigs(t, relay, "trips.v1"), "read the configuration of trips.v1")
	requireAllowed(t, false, describeConfigs(t, relay, contracts.TopicOrders), "read the configuration of orders.v1")
	requireAllowed(t, false, createTopics(t, relay, "orders.v9")[0], "create orders.v9")
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	require.NoError(t, relay.ProduceSync(ctx, &kgo.Record{Topic: "trips.v1", Value: []byte("a trip")}).FirstErr())
}

func (k *securedKafka) tryStrangers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	guess := scram.Auth{User: "relay", Pass: "guessed"}
	for what, options := range map[string][]kgo.Opt{
		"a wrong password": {kgo.SASL(guess.AsSha512Mechanism())},
		"no login":         nil,
	} {
		client, err := kgo.NewClient(append(options, kgo.SeedBrokers(k.addr), kgo.RequestRetries(1))...)
		require.NoError(t, err)
		require.Error(t, client.Ping(ctx), what)
		client.Close()
	}
}

// requireAllowed holds that what was tried succeeded, or was refused by the authorizer and not for
// any other reason.
func requireAllowed(t *testing.T, allowed bool, err error, what string) {
	t.Helper()
	if allowed {
		require.NoError(t, err, what)
		return
	}
	require.Error(t, err, what)
	require.Contains(t, err.Error(), "AUTHORIZATION_FAILED", what+": refused by the authorizer")
}
