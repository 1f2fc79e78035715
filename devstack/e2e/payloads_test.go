package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"waybill.example/contracts"
	"waybill.example/devstack/stack"
)

// writeKeyring replaces a keyring, as a deployment does. The first key is the primary one.
func writeKeyring(t *testing.T, path string, ids ...string) {
	t.Helper()
	keys := map[string][]byte{}
	for _, id := range ids {
		keys[id] = make([]byte, 32)
		copy(keys[id], id)
	}
	text, err := json.Marshal(map[string]any{"primary": ids[0], "keys": keys})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+".new", text, 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// query asks the database of a service for one value.
func query[T any](t *testing.T, s *system, database, sql string, args ...any) (value T) {
	t.Helper()
	state, err := stack.Read(s.dir)
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), state.Databases[database])
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	require.NoError(t, conn.QueryRow(t.Context(), sql, args...).Scan(&value))
	return value
}

// Payloads are encrypted from the outbox of one service to the handler of the next, keys are
// rotated while the services run, and a consumer that gets its key late loses nothing. The relay
// has no key. What Inventory answers is kept in a blob store besides. And
// payloads are in the wire format of a schema registry.
func TestPayloads_AreEncryptedAndKeysRotate(t *testing.T) {
	t.Parallel()
	dir, registry := t.TempDir(), srfake.New()
	defer registry.Close()
	env := map[string][]string{}
	keyring := func(service string) string { return filepath.Join(dir, service+".json") }
	services := []string{stack.Orders, stack.Inventory, stack.Orchestrator}
	for _, service := range services {
		writeKeyring(t, keyring(service), "k1")
		env[service] = []string{
			"PAYLOAD_KEYRING=" + keyring(service), "PAYLOAD_KEY_LIFETIME=100ms", "PAYLOAD_BLOBS=file://" + filepath.Join(dir, "blobs"),
			"PAYLOAD_VALIDATE=true", "PAYLOAD_SCHEMA_REGISTRY=" + registry.URL(), "PAYLOAD_SCHEMA_REGISTER=true",
		}
	}
	env[stack.Inventory] = append(env[stack.Inventory], "PAYLOAD_BLOB_THRESHOLD=10") // all of its payloads are large
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	s := &system{dir: newDir(t)}
	running, err := stack.Up(t.Context(), stack.Config{
		Workspace: workspace, Dir: s.dir, EphemeralPorts: true, Console: stack.NewConsole(io.Discard, false), Env: env,
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, running.Down(context.WithoutCancel(t.Context()))) }()

	s.tutorial(t)
	for _, database := range services {
		require.NotZero(t, query[int](t, s, database, `select count(*) from outbox`))
		require.Zero(t, query[int](t, s, database,
			`select count(*) from outbox where position('orderId'::bytea in payload) > 0 or headers->>'ce_enckeyid' <> 'k1'`), database)
	}
	s.encryptedOnTheWire(t)
	for _, subject := range []string{"orders.v1-OrderCreated", "inventory.commands.v1-ReserveInventory", "inventory.v1-InventoryReserved"} {
		require.True(t, registry.SubjectExists(subject), subject)
	}

	// Inventory and the orchestrator are to have the new key before Orders uses it; the
	// orchestrator was forgotten.
	writeKeyring(t, keyring(stack.Inventory), "k1", "k2")
	writeKeyring(t, keyring(stack.Orders), "k2", "k1")
	var id int64
	await(t, "an order of the new key", func() bool {
		id = s.place(t, `{"userId":"u1","sku":"burger","quantity":1}`)
		return query[string](t, s, stack.Orders, `select headers->>'ce_enckeyid' from outbox where key = $1`, fmt.Sprint(id)) == "k2"
	})
	letter := s.deadLetter(t, fmt.Sprint(id))
	require.Contains(t, letter.Reason, `encrypted with the key "k2", which this consumer does not have`)
	require.Contains(t, letter.Encoding, `encrypted with key "k2" (A256GCM), in the wire format`)
	require.Contains(t, letter.Encoding, "; not decoded: ")
	require.NotEmpty(t, letter.PayloadBase64)

	writeKeyring(t, keyring(stack.Orchestrator), "k1", "k2")
	letter = s.deadLetter(t, fmt.Sprint(id))
	require.Contains(t, string(letter.Payload), `"burger"`, "who may read it reads it, now that the key is there")
	s.redrive(t, letter.ID)
	require.Equal(t, "CONFIRMED", s.outcome(t, id).Status)

	// What a saga was sent is shown to those who may read it.
	_, trail, _ := call(t, http.MethodGet, s.url(t, stack.Orchestrator, fmt.Sprintf("/v1/sagas/%d/messages", id)), "")
	require.Contains(t, trail, `encrypted with key \"k2\" (A256GCM)`)
	require.Contains(t, trail, `"burger"`)
}

// encryptedOnTheWire reads what anybody may who may read the topics.
func (s *system) encryptedOnTheWire(t *testing.T) {
	t.Helper()
	consumer, err := kgo.NewClient(
		kgo.SeedBrokers(s.process(t, stack.Broker).Addr), kgo.ConsumeTopics(contracts.Topics()...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	for n := 0; n < 5; { // OrderCreated, ReserveInventory, InventoryReserved, ConfirmOrder, OrderConfirmed
		fetches := consumer.PollFetches(ctx)
		require.NoError(t, ctx.Err())
		for _, record := range fetches.Records() {
			headers := map[string]string{}
			for _, h := range record.Headers {
				headers[h.Key] = string(h.Value)
			}
			require.Equal(t, "A256GCM", headers["ce_encryption"])
			require.Equal(t, "application/octet-stream", headers["content-type"])
			require.NotContains(t, string(record.Value), "orderId")
			require.Equal(t, record.Topic == contracts.TopicInventory, headers["ce_dataref"] != "", record.Topic)
			require.Equal(t, record.Topic == contracts.TopicInventory, len(record.Value) == 0, record.Topic)
			n++
		}
	}
}

// shownLetter is a dead letter as the API shows it.
type shownLetter struct {
	ID                    int64
	Key, Reason, Encoding string
	Payload               json.RawMessage
	PayloadBase64         string
}

// deadLetter waits for a dead letter of the orchestrator.
func (s *system) deadLetter(t *testing.T, key string) (l shownLetter) {
	t.Helper()
	await(t, "a dead letter of "+key, func() bool {
		var page struct{ DeadLetters []shownLetter }
		_, answer, _ := call(t, http.MethodGet, s.url(t, stack.Orchestrator, "/v1/dead-letters?key="+key), "")
		require.NoError(t, json.Unmarshal([]byte(answer), &page), answer)
		if len(page.DeadLetters) > 0 {
			l = page.DeadLetters[0]
		}
		return l.ID != 0
	})
	_, answer, _ := call(t, http.MethodGet, s.url(t, stack.Orchestrator, fmt.Sprintf("/v1/dead-letters/%d", l.ID)), "")
	require.NoError(t, json.Unmarshal([]byte(answer), &l), answer)
	return l
}

func (s *system) redrive(t *testing.T, id int64) {
	t.Helper()
	state, err := stack.Read(s.dir)
	require.NoError(t, err)
	url := s.url(t, stack.Orchestrator, fmt.Sprintf("/v1/dead-letters/%d/redrive", id))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"reason":"the key is there"}`))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+state.TokenFor(stack.Orchestrator))
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(answer))
}
