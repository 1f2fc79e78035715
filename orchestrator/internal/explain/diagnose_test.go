package explain_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill/orchestrator/internal/explain"
	"waybill/orchestrator/internal/postgres"
	"waybill/orchestrator/ordersaga"
	"waybill/orchestrator/saga"
)

var began = time.Date(2026, 1, 2, 10, 3, 0, 0, time.UTC)

// waiting is the story of an order that waits for Inventory since 41 s.
func waiting(t *testing.T) (explain.Story, uuid.UUID) {
	t.Helper()
	timing := ordersaga.DefaultTiming()
	timing.ReserveWithin = time.Minute
	def, err := ordersaga.Definition(timing)
	require.NoError(t, err)
	registry, err := saga.NewRegistry(def)
	require.NoError(t, err)
	d, err := def.Apply(saga.State{}, saga.Message{ID: uuid.New(), Type: "OrderCreated", Key: "42", Data: []byte(`{"orderId":42}`)}, began)
	require.NoError(t, err)
	command := d.Commands[0].ID
	return explain.Story{
		ID: "42", Now: began.Add(41 * time.Second), Saga: &d.State, Registry: registry,
		Sources: []explain.Found{{
			Name: explain.Own, Relay: explain.RelayState{Leader: "relay-1"},
			Sent: []explain.Sent{{OutboxRow: postgres.OutboxRow{ID: 812, EventID: command, Topic: "inventory.commands.v1", Type: "ReserveInventory", Status: "published", CreatedAt: began}}},
		}},
	}, command
}

func inventory(f explain.Found) explain.Found {
	f.Name = "inventory"
	return f
}

// Each case is one place where an order can be held up, and the words that an
// operator must find in the answer.
func TestWhatStandsInTheWayIsNamed(t *testing.T) {
	t.Parallel()
	now := began.Add(10 * time.Second)
	reply := uuid.New()
	for name, c := range map[string]struct {
		change func(s *explain.Story, command uuid.UUID)
		want   []string
	}{
		"broker away": {func(s *explain.Story, _ uuid.UUID) {
			s.Sources[0].Sent[0].Status = "pending"
			s.Relay = map[string]string{explain.Own: "no broker answers since 10:02:00; rows wait in the database"}
		}, []string{"ReserveInventory is outbox row 812 of orchestrator", "not published since 41s", "no broker answers since 10:02:00"}},
		"relay paused": {func(s *explain.Story, _ uuid.UUID) {
			s.Sources[0].Sent[0].Status, s.Sources[0].Relay.Paused = "pending", true
		}, []string{"the relay of orchestrator is paused", "outbox-relay resume --database=orchestrator"}},
		"no relay": {func(s *explain.Story, _ uuid.UUID) {
			s.Sources[0].Sent[0].Status, s.Sources[0].Relay.Leader = "pending", ""
		}, []string{"no relay has taken on orchestrator"}},
		"relay behind": {func(s *explain.Story, _ uuid.UUID) {
			s.Sources[0].Sent[0].Status, s.Sources[0].Relay.Ahead = "pending", 5000
		}, []string{"5000 rows are ahead of it"}},
		"stuck": {func(s *explain.Story, _ uuid.UUID) {
			m := &s.Sources[0].Sent[0]
			m.Status, m.Error, m.Attempts, m.StuckAt = "stuck", "Message size too large", 4, &now
		}, []string{"refused by the broker since 31s (4 attempts): Message size too large", "outbox-relay stuck retry --database=orchestrator 812"}},
		"parked behind a stuck row": {func(s *explain.Story, _ uuid.UUID) { s.Sources[0].Sent[0].Status = "parked" }, []string{"parked behind an earlier message"}},
		"no other source":           {func(*explain.Story, uuid.UUID) {}, []string{"published", "set EXPLAIN_DATABASES"}},
		"source unreachable": {func(s *explain.Story, _ uuid.UUID) {
			s.Sources = append(s.Sources, inventory(explain.Found{Err: errors.New("does not answer")}))
		}, []string{"in no inbox that could be asked; inventory could not be"}},
		"participant behind": {func(s *explain.Story, _ uuid.UUID) {
			s.Sources = append(s.Sources, inventory(explain.Found{}))
		}, []string{"published, not handled yet: whoever consumes inventory.commands.v1 is behind, or away"}},
		"handled without an answer": {func(s *explain.Story, command uuid.UUID) {
			s.Sources = append(s.Sources, inventory(explain.Found{Handled: []explain.Handled{{EventID: command, Consumer: "inventory-service", Topic: "inventory.commands.v1", Offset: 7, At: now}}}))
		}, []string{"handled by inventory-service at 10:03:10", "sent no answer"}},
		"answer not published": {func(s *explain.Story, command uuid.UUID) {
			s.Sources = append(s.Sources, inventory(explain.Found{
				Handled: []explain.Handled{{EventID: command, At: now}},
				Sent:    []explain.Sent{{OutboxRow: postgres.OutboxRow{ID: 9, EventID: reply, Type: "InventoryReserved", Status: "pending", CreatedAt: now}, Cause: &command}},
				Relay:   explain.RelayState{Paused: true},
			}))
		}, []string{"Its answer: InventoryReserved is outbox row 9 of inventory, not published since 31s: the relay of inventory is paused"}},
		"answer not read": {func(s *explain.Story, command uuid.UUID) {
			s.Sources = append(s.Sources, inventory(explain.Found{
				Handled: []explain.Handled{{EventID: command, At: now}},
				Sent:    []explain.Sent{{OutboxRow: postgres.OutboxRow{ID: 9, EventID: reply, Type: "InventoryReserved", Status: "published", CreatedAt: now}, Cause: &command}},
			}))
		}, []string{"published, not handled by orchestrator yet"}},
		"dead letter": {func(s *explain.Story, command uuid.UUID) {
			s.Sources = append(s.Sources, inventory(explain.Found{
				Sent: []explain.Sent{{OutboxRow: postgres.OutboxRow{ID: 9, EventID: command, Type: "ReserveInventory", Topic: "inventory.commands.v1.dlq", Status: "published"}, Why: "quantity: must be from 1 to 1000000"}},
			}))
		}, []string{"inventory could not use a ReserveInventory and set it aside in inventory.commands.v1.dlq: quantity: must be"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, command := waiting(t)
			c.change(&s, command)
			e := explain.Diagnose(s)
			require.Contains(t, e.Summary, "Waits for InventoryReserved or InventoryRejected since 41s (step reserve, attempt 1 of 4, until 10:0")
			require.Contains(t, e.Next[0], "ReserveInventory is sent again (attempt 2 of 4)")
			text := strings.Join(append(e.Obstacles, e.Advice...), "\n")
			for _, want := range c.want {
				require.Contains(t, text, want)
			}
		})
	}
}

func TestAnOrderWhoseStartIsOnItsWayIsExplained(t *testing.T) {
	t.Parallel()
	s, _ := waiting(t)
	s.Saga, s.Broker = nil, "the broker does not answer the orchestrator"
	s.Sources = []explain.Found{{Name: explain.Own}, {
		Name: "orders", Relay: explain.RelayState{Leader: "relay-1"},
		Sent: []explain.Sent{{OutboxRow: postgres.OutboxRow{ID: 1, EventID: uuid.New(), Type: "OrderCreated", Topic: "orders.v1", Status: "pending", CreatedAt: began}}},
	}}
	e := explain.Diagnose(s)
	require.Equal(t, explain.NotStarted, e.State)
	require.Contains(t, e.Obstacles[0], "OrderCreated is outbox row 1 of orders, not published since 41s: the broker does not answer the orchestrator")
}

func TestWhatHappensNextIsSaidForEachWait(t *testing.T) {
	t.Parallel()
	s, _ := waiting(t)
	def, _ := s.Registry.Definition("order", 1)
	for _, want := range []string{"attempt 2 of 4", "attempt 3 of 4", "attempt 4 of 4", "given up and the saga is undone: it will end CANCELLED"} {
		require.Contains(t, explain.Diagnose(s).Next[0], want)
		due, _ := s.Saga.Deadline()
		d, err := def.Apply(*s.Saga, saga.Due{}, due)
		require.NoError(t, err)
		s.Saga, s.Now = &d.State, due
	}
	e := explain.Diagnose(s)
	require.Contains(t, e.Summary, "Is being undone (inventory did not answer).")
	require.Len(t, e.Next, 2)
	require.Contains(t, e.Next[0], "CancelOrder is sent again (attempt 2 of 8)")
}

func TestAnEndedSagaSaysHowItEnded(t *testing.T) {
	t.Parallel()
	s, _ := waiting(t)
	s.Saga.Phase, s.Saga.EndedAt, s.Saga.Reason = saga.Cancelled, began.Add(1500*time.Millisecond), "unknown sku"
	require.Equal(t, "CANCELLED, 1.5s after it began: unknown sku.", explain.Diagnose(s).Summary)
}
