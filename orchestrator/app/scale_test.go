package app_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/service"
	"waybill.example/contracts"
	"waybill.example/devstack/kafkatest"
	"waybill.example/orchestrator/app"
)

// participants stands in for the relay, Orders and Inventory: it answers every command in the
// outbox until ctx ends.
func (s *system) participants(ctx context.Context) (wait func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		// Not "id > last": an id is drawn before its row is committed.
		for seen := []int64{0}; ctx.Err() == nil; {
			rows, err := s.db.Pool.Query(ctx, "select id, type, event_id, payload from outbox where id <> all ($1) order by id", seen)
			if err != nil {
				return
			}
			replies, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (kafkatest.Record, error) {
				var row int64
				var messageType string
				var id uuid.UUID
				var payload []byte
				err := r.Scan(&row, &messageType, &id, &payload)
				seen = append(seen, row)
				return reply(messageType, id, payload), err
			})
			if err != nil {
				return
			}
			s.broker.Produce(s.t, replies...) //nolint:contextcheck // bounded by the context of the test
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return wg.Wait
}

func reply(messageType string, id uuid.UUID, payload []byte) kafkatest.Record {
	var command contracts.Envelope
	_ = json.Unmarshal(payload, &command) // our own command
	e := contracts.NewEnvelope(command.OrderID, id, time.Now())
	var m contracts.Message
	switch contracts.Type(messageType) {
	case contracts.TypeReserveInventory:
		m = contracts.InventoryReserved{Envelope: e, Reserved: true}
	case contracts.TypeConfirmOrder:
		m = contracts.OrderConfirmed{Envelope: e}
	case contracts.TypeReleaseInventory:
		m = contracts.InventoryReleased{Envelope: e}
	default:
		m = contracts.OrderCancelled{Envelope: e}
	}
	r, err := contracts.Encode(m)
	if err != nil {
		panic(err) // the test's own message
	}
	return kafkatest.Record{Topic: r.Topic, Key: []byte(r.Key), Value: r.Payload, Headers: r.Headers}
}

// Orchestrators come and go while sagas run: every saga ends, and each step sends its command
// exactly once.
func TestOrchestratorsShareTheWorkAndReplaceEachOther(t *testing.T) {
	t.Parallel()
	const orders = 300
	s := startSystem(t, nil)
	first := s.stop
	s.start(nil)
	second := s.stop
	ctx, cancel := context.WithCancel(t.Context())
	wait := s.participants(ctx)
	defer wait()
	defer cancel()
	place := func(from, to int64) {
		var batch []contracts.Message
		for id := from; id < to; id++ {
			batch = append(batch, created(id))
		}
		s.send(batch...)
	}
	place(1, 100)
	s.command(1, contracts.TypeReserveInventory, 1)
	first()
	place(100, 200)
	s.start(nil)
	place(200, orders+1)
	s.command(150, contracts.TypeConfirmOrder, 1)
	second()
	s.eventually(func() bool {
		var done int
		require.NoError(t, s.db.Pool.QueryRow(t.Context(), "select count(*) from sagas where state = 'CONFIRMED'").Scan(&done))
		return done == orders
	}, "all sagas end")
	var twice int
	require.NoError(t, s.db.Pool.QueryRow(t.Context(),
		"select count(*) from (select from outbox group by key, type having count(*) > 1) as repeated").Scan(&twice))
	require.Zero(t, twice)
}

// The test binary is an orchestrator too: started with this variable it is a process that can be
// killed.
const asProcess = "ORCHESTRATOR_TEST_PROCESS"

func process() {
	service.Main("orchestrator", "", settings{Config: app.DefaultConfig()}, func(ctx context.Context, c settings, log *slog.Logger) (*service.App, error) {
		sagas, err := orderSagas(c.Timing)
		if err != nil {
			return nil, err
		}
		return app.New(ctx, c.Config, sagas, log)
	})
}

// spawn starts an orchestrator as a process of its own.
func (s *system) spawn() *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asProcess+"=1", "DATABASE_URL="+s.db.URL, "KAFKA_BROKERS="+s.broker.Addr(),
		"HTTP_ADDR=127.0.0.1:0", "BATCH_SIZE=20",
		"RESERVE_DEADLINE=10m", "REPLY_DEADLINE=10m") // no repetition but by mistake
	cmd.Stdout, cmd.Stderr = s.t.Output(), s.t.Output()
	require.NoError(s.t, cmd.Start())
	s.t.Cleanup(func() { kill(cmd) })
	return cmd
}

// kill is SIGKILL: nothing is drained, nothing is committed.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // an error if it has been killed before
	_ = cmd.Wait()
}

// Orchestrators are killed at any moment, also between the commit in Postgres and the commit of the
// offsets, and replaced: every saga ends, and each step sends its command exactly once.
func TestOrchestratorsThatAreKilledLoseNothingAndRepeatNothing(t *testing.T) {
	t.Parallel()
	const orders = 400
	s := &system{
		t: t, db: newDatabase(t),
		broker: kafkatest.Start(t, contracts.TopicOrders, contracts.TopicInventory),
	}
	ctx, cancel := context.WithCancel(t.Context())
	wait := s.participants(ctx)
	defer wait()
	defer cancel()
	confirmed := func() (n int) {
		require.NoError(t, s.db.Pool.QueryRow(t.Context(), "select count(*) from sagas where state = 'CONFIRMED'").Scan(&n))
		return n
	}
	batch := make([]contracts.Message, orders)
	for i := range batch {
		batch[i] = created(int64(i + 1))
	}
	running := []*exec.Cmd{s.spawn(), s.spawn()}
	for round := range 3 {
		s.send(batch[round*100 : (round+1)*100]...)
		before := confirmed()
		s.eventually(func() bool { return confirmed() > before }, "sagas run in round %d", round)
		kill(running[0])
		running = append(running[1:], s.spawn())
	}
	s.send(batch[300:]...)
	s.eventually(func() bool { return confirmed() == orders }, "all sagas end")
	var twice int
	require.NoError(t, s.db.Pool.QueryRow(t.Context(),
		"select count(*) from (select from outbox group by key, type having count(*) > 1) as repeated").Scan(&twice))
	require.Zero(t, twice)
}
