package explain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/commandline"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/saga"
)

var began = time.Date(2026, 1, 2, 10, 3, 0, 0, time.UTC)

// waiting is the evidence of an order that waits for Inventory since 41 s.
func waiting(t *testing.T) (explain.Evidence, uuid.UUID) {
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
	return explain.Evidence{
		ID: "42", Now: began.Add(41 * time.Second), Saga: &d.State, Registry: registry, Relay: explain.Relay{Asked: true},
		Databases: []explain.Database{{
			Name: explain.OwnDatabase, Outbox: explain.Outbox{Leader: "relay-1"},
			Sent: []explain.Message{{ID: 812, EventID: command, Topic: "inventory.commands.v1", Type: "ReserveInventory", Status: "published", CreatedAt: began}},
		}},
	}, command
}

func inventory(f explain.Database) explain.Database {
	f.Name = "inventory"
	return f
}

// Each case is one place where an order can be held up, and the words that an
// operator must find in the answer.
func TestWhatStandsInTheWayIsNamed(t *testing.T) {
	t.Parallel()
	now := began.Add(10 * time.Second)
	reply := uuid.New()
	programs := commandline.New(t)
	for name, c := range map[string]struct {
		change func(s *explain.Evidence, command uuid.UUID)
		want   []string
	}{
		"broker away": {func(s *explain.Evidence, _ uuid.UUID) {
			s.Databases[0].Sent[0].Status = "pending"
			s.Databases[0].Outbox.Problem = "no broker answers since 10:02:00; rows wait in the database"
		}, []string{"ReserveInventory is outbox row 812 of orchestrator", "not published since 41s", "no broker answers since 10:02:00"}},
		"relay paused": {func(s *explain.Evidence, _ uuid.UUID) {
			s.Databases[0].Sent[0].Status, s.Databases[0].Outbox.Paused = "pending", true
		}, []string{"the relay of orchestrator is paused", "outbox-relay resume --database=orchestrator"}},
		"relay of a shard paused": {func(s *explain.Evidence, _ uuid.UUID) {
			s.Databases[0].Sent[0].Status, s.Databases[0].Outbox.Paused = "pending", true
			_ = s.Shard.UnmarshalText([]byte("1"))
		}, []string{"outbox-relay resume --database=orchestrator-1"}},
		"no relay": {func(s *explain.Evidence, _ uuid.UUID) {
			s.Databases[0].Sent[0].Status, s.Databases[0].Outbox.Leader = "pending", ""
		}, []string{"no relay has taken on orchestrator"}},
		"relay behind": {func(s *explain.Evidence, _ uuid.UUID) {
			s.Databases[0].Sent[0].Status, s.Databases[0].Outbox.Ahead = "pending", 5000
		}, []string{"5000 rows are ahead of it"}},
		"stuck": {func(s *explain.Evidence, _ uuid.UUID) {
			m := &s.Databases[0].Sent[0]
			m.Status, m.Error, m.Attempts, m.StuckAt = "stuck", "Message size too large", 4, &now
		}, []string{"refused by the broker since 31s (4 attempts): Message size too large", "outbox-relay stuck retry --database=orchestrator 812"}},
		"parked behind a stuck row": {func(s *explain.Evidence, _ uuid.UUID) { s.Databases[0].Sent[0].Status = "parked" }, []string{"parked behind an earlier message"}},
		"no relay to ask":           {func(s *explain.Evidence, _ uuid.UUID) { s.Relay.Asked = false }, []string{"published", "set RELAY_URL"}},
		"a relay that does not answer": {func(s *explain.Evidence, _ uuid.UUID) {
			s.Relay.URL, s.Relay.Error = "http://127.0.0.1:8083", "nothing listens at http://127.0.0.1:8083"
			s.Services = []explain.Service{{Name: "inventory"}}
		}, []string{
			"whether inventory has handled it is not known: outbox-relay did not answer: nothing listens at http://127.0.0.1:8083",
			"curl -sm2 http://127.0.0.1:8083/readyz\noutbox-relay status   # ",
		}},
		"pending, and a relay that does not answer": {func(s *explain.Evidence, _ uuid.UUID) {
			s.Databases[0].Sent[0].Status, s.Relay.Error = "pending", "nothing listens at http://127.0.0.1:8083"
		}, []string{"not published since 41s: outbox-relay did not answer: nothing listens", "outbox-relay status   # "}},
		"database unreachable": {func(s *explain.Evidence, _ uuid.UUID) {
			s.Databases = append(s.Databases, inventory(explain.Database{Error: "it did not answer the relay"}))
		}, []string{"whether inventory has handled it is not known: its database did not answer: it did not answer the relay"}},
		"participant behind": {func(s *explain.Evidence, _ uuid.UUID) {
			s.Databases = append(s.Databases, inventory(explain.Database{}))
		}, []string{"published, not handled by inventory yet: it is behind, or unavailable"}},
		"handled without an answer": {func(s *explain.Evidence, command uuid.UUID) {
			s.Databases = append(s.Databases, inventory(explain.Database{Deliveries: []explain.Delivery{{EventID: command, Consumer: "inventory-service", Topic: "inventory.commands.v1", Offset: 7, At: now}}}))
		}, []string{"handled by inventory-service at 10:03:10", "sent no answer"}},
		"answer not published": {func(s *explain.Evidence, command uuid.UUID) {
			s.Databases = append(s.Databases, inventory(explain.Database{
				Deliveries: []explain.Delivery{{EventID: command, At: now}},
				Sent:       []explain.Message{{ID: 9, EventID: reply, Type: "InventoryReserved", Status: "pending", CreatedAt: now, Cause: &command}},
				Outbox:     explain.Outbox{Paused: true},
			}))
		}, []string{"Its answer: InventoryReserved is outbox row 9 of inventory, not published since 31s: the relay of inventory is paused"}},
		"answer not read": {func(s *explain.Evidence, command uuid.UUID) {
			s.Databases = append(s.Databases, inventory(explain.Database{
				Deliveries: []explain.Delivery{{EventID: command, At: now}},
				Sent:       []explain.Message{{ID: 9, EventID: reply, Type: "InventoryReserved", Status: "published", CreatedAt: now, Cause: &command}},
			}))
		}, []string{"published, not handled by orchestrator yet"}},
		"dead letter": {func(s *explain.Evidence, command uuid.UUID) {
			s.Databases = append(s.Databases, inventory(explain.Database{
				Sent: []explain.Message{{ID: 9, EventID: command, Type: "ReserveInventory", Topic: "inventory.commands.v1.dlq", Status: "published", Reason: "quantity: must be from 1 to 1000000"}},
			}))
		}, []string{
			"ReserveInventory is outbox row 812 of orchestrator, and inventory could not use it: it is set aside in inventory.commands.v1.dlq: quantity: must be",
			"waybill dlq redrive --service=inventory --all --event-id=",
		}},
		"dead letter that was redriven": {func(s *explain.Evidence, command uuid.UUID) {
			s.Databases = append(s.Databases, inventory(explain.Database{
				Deliveries: []explain.Delivery{{EventID: command, At: now, Consumer: "inventory-service"}},
				Sent:       []explain.Message{settledLetter(command, "redriven")},
			}))
		}, []string{"ReserveInventory is outbox row 812 of orchestrator, handled by inventory-service at"}},
		"dead letter that was discarded": {func(s *explain.Evidence, command uuid.UUID) {
			s.Databases = append(s.Databases, inventory(explain.Database{
				Sent: []explain.Message{settledLetter(command, "discarded")},
			}))
		}, []string{"ReserveInventory is outbox row 812 of orchestrator, and inventory could not use it: quantity. An operator has discarded it."}},
		"dead letter without an id": {func(s *explain.Evidence, command uuid.UUID) {
			s.Databases = append(s.Databases, inventory(explain.Database{
				Sent: []explain.Message{{
					ID: 9, EventID: command, Type: "DeadLetter", Topic: "inventory.commands.v1.dlq", Status: "published", Reason: "decode message",
					Letter: &explain.Letter{ID: 3, State: "dead", Nameless: true},
				}},
			}))
		}, []string{"inventory could not use it: it is set aside", "waybill dlq redrive --service=inventory 3 "}},
		"dead reply": {func(s *explain.Evidence, command uuid.UUID) {
			s.Databases[0].Sent = append(s.Databases[0].Sent, explain.Message{ID: 813, EventID: reply, Type: "InventoryReserved", Topic: "inventory.v1.dlq", Status: "published", Reason: "decode message"})
			s.Databases = append(s.Databases, inventory(explain.Database{
				Deliveries: []explain.Delivery{{EventID: command, At: now}},
				Sent:       []explain.Message{{ID: 9, EventID: reply, Type: "InventoryReserved", Topic: "inventory.v1", Status: "published", CreatedAt: now, Cause: &command}},
			}))
		}, []string{"orchestrator could not use it: it is set aside in inventory.v1.dlq: decode message. Later messages of its key wait behind it", "waybill dlq redrive --service=orchestrator --all --event-id="}},
		"a locked row": {func(s *explain.Evidence, command uuid.UUID) {
			s.Databases = append(s.Databases, inventory(explain.Database{
				Deliveries: []explain.Delivery{{EventID: command, At: now}},
				Sent:       []explain.Message{{ID: 9, EventID: reply, Type: "InventoryReserved", Topic: "inventory.v1", Status: "published", CreatedAt: now, Cause: &command}},
			}))
			s.Databases[0].Blocked = []explain.Blocked{{
				Waiter: "orchestrator", Waits: 25 * time.Second, Holder: 4711, App: "psql", User: "bob", State: "idle in transaction", Transaction: 30 * time.Second,
			}}
		}, []string{"orchestrator waits since 25s for a lock that session 4711 holds (psql of user bob, idle in transaction, its transaction open since 30s)", "pg_terminate_backend(4711)"}},
		"a locked row that the service names": {func(s *explain.Evidence, _ uuid.UUID) {
			s.Databases = append(s.Databases, inventory(explain.Database{}))
			s.Services = []explain.Service{{Name: "inventory", URL: "http://127.0.0.1:8081", Unhealthy: "consumer: blocked for 5 s: lock (SQLSTATE 55P03), 1 messages wait, held by pid 4711 (psql)"}}
		}, []string{"inventory says consumer: blocked for 5 s", "pg_terminate_backend(4711)"}},
		"a stopped consumer": {func(s *explain.Evidence, _ uuid.UUID) {
			s.Databases = append(s.Databases, inventory(explain.Database{}))
			s.Services = []explain.Service{{Name: "inventory", URL: "http://127.0.0.1:8081", Error: "nothing listens at http://127.0.0.1:8081"}}
		}, []string{"not handled by inventory yet: inventory did not answer: nothing listens at http://127.0.0.1:8081", "curl -sm2 http://127.0.0.1:8081/readyz"}},
		"a locked table, for which the service cannot say what it knows of the order either": {func(s *explain.Evidence, _ uuid.UUID) {
			s.Databases = append(s.Databases, inventory(explain.Database{}))
			s.Services = []explain.Service{{
				Name: "inventory", URL: "http://127.0.0.1:8081", Error: "the database does not answer; try again",
				Unhealthy: "consumer: blocked for 5 s: lock (SQLSTATE 55P03), 1 messages wait, held by pid 4711 (psql)",
			}}
		}, []string{"inventory says consumer: blocked for 5 s", "pg_terminate_backend(4711)"}},
		"a consumer that is up": {func(s *explain.Evidence, _ uuid.UUID) {
			s.Databases = append(s.Databases, inventory(explain.Database{}))
			s.Services = []explain.Service{{Name: "inventory", URL: "http://127.0.0.1:8081"}}
		}, []string{"inventory is up and reports no problem; it is behind, or its handler hangs"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, command := waiting(t)
			c.change(&s, command)
			e := explain.Diagnose(s)
			require.Contains(t, e.Summary, "Waits for InventoryReserved or InventoryRejected since 41s (step reserve, attempt 1 of 4, until 10:0")
			require.Contains(t, e.Next[0], "ReserveInventory is sent again (attempt 2 of 4)")
			require.Len(t, e.Obstacles, 1, "one wait, one reason: %q", e.Obstacles)
			text := strings.Join(append(e.Obstacles, e.Advice...), "\n")
			programs.Require(t, e.Advice...)
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
	s.Databases = []explain.Database{{Name: explain.OwnDatabase}, {
		Name: "orders", Outbox: explain.Outbox{Leader: "relay-1"},
		Sent: []explain.Message{{ID: 1, EventID: uuid.New(), Type: "OrderCreated", Topic: "orders.v1", Status: "pending", CreatedAt: began}},
	}}
	e := explain.Diagnose(s)
	require.Equal(t, explain.NotStarted, e.State)
	require.Contains(t, e.Obstacles[0], "OrderCreated is outbox row 1 of orders, not published since 41s: the broker does not answer the orchestrator")
	require.Equal(t, []string{"The saga begins as soon as the orchestrator handles OrderCreated."}, e.Next)
}

// A message that nobody has sent for an order is a dead letter of its consumer. Its copy is no
// message that starts a saga, and the orchestrator is not behind with it.
func TestTheCopyOfADeadLetterStartsNothing(t *testing.T) {
	t.Parallel()
	s, _ := waiting(t)
	s.Saga = nil
	s.Databases = []explain.Database{{Name: explain.OwnDatabase}, {
		Name: "inventory", Sent: []explain.Message{{
			ID: 1, EventID: uuid.New(), Type: "ReserveInventory", Topic: "inventory.commands.v1.dlq", Status: "published", CreatedAt: began, Reason: "decode message",
		}},
	}}
	e := explain.Diagnose(s)
	require.Equal(t, []string{
		"No service that could be asked has sent anything for it.",
		"inventory could not use ReserveInventory: it is set aside in inventory.commands.v1.dlq: decode message. Later messages of its key wait behind it.",
	}, e.Obstacles)
	require.Equal(t, []string{"Nothing, until the message that starts the saga comes."}, e.Next)
}

// A reply that is sent again after its saga has ended and was removed makes one that nothing
// starts. That is no lost message, and nobody is behind.
func TestAReplyToASagaThatWasRemovedIsExplained(t *testing.T) {
	t.Parallel()
	s, _ := waiting(t)
	s.Saga = &saga.State{
		ID: "4711", Definition: "order", Version: 1, Phase: saga.AwaitingStart, StartedAt: began, StartBy: began.Add(time.Minute),
		Steps: make([]saga.StepState, 2),
	}
	s.Services = []explain.Service{{Name: "orders", Facts: []explain.Fact{
		{At: began, Kind: explain.Accepted, What: "order accepted over HTTP"}, {At: began, Kind: explain.Became, What: "order became CONFIRMED"},
	}}}
	s.Databases = []explain.Database{{Name: explain.OwnDatabase}, {
		Name: "orders", Sent: []explain.Message{{ID: 1, EventID: uuid.New(), Type: "OrderCreated", Topic: "orders.v1", Status: "published", CreatedAt: began}},
	}}
	e := explain.Diagnose(s)
	require.Contains(t, e.Summary, "it had ended and was removed, or the database was put back to an earlier moment. The order became CONFIRMED.")
	require.Empty(t, e.Obstacles)
	require.Contains(t, e.Next[0], "Nothing has to be done")

	s.Saga.Phase, s.Saga.EndedAt = saga.NotStarted, began.Add(time.Minute)
	require.Contains(t, explain.Diagnose(s).Summary, "NOT_STARTED: a reply was read for which there was no saga")
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

// orders is what Orders says of an order with this status.
func orders(status string) []explain.Service {
	s := explain.Service{Name: "orders", Facts: []explain.Fact{{At: began, Kind: explain.Accepted, What: "order accepted over HTTP"}}}
	if status != "PENDING" {
		s.Facts = append(s.Facts, explain.Fact{At: began, Kind: explain.Became, What: "order became " + status})
	}
	return []explain.Service{s}
}

// An operator has forced the saga, and the order hangs: the case in which people ask.
func TestDiagnose_AForcedSagaWhoseOrderHangsSaysWhereTheLastWordIs(t *testing.T) {
	t.Parallel()
	s, _ := waiting(t)
	def, _ := s.Registry.Definition("order", 1)
	operator := saga.Operator{ID: uuid.New(), Actor: "me", Reason: "settled"}
	d, err := def.Apply(*s.Saga, saga.Force{Operator: operator, End: "CANCELLED"}, s.Now)
	require.NoError(t, err)
	s.Saga = &d.State
	s.Databases[0].Sent = append(s.Databases[0].Sent, explain.Message{ID: 813, EventID: uuid.New(), Topic: "orders.commands.v1", Type: "CancelOrder", Status: "published", CreatedAt: began})
	s.Services, s.Databases = orders("PENDING"), append(s.Databases, explain.Database{Name: "orders"})
	e := explain.Diagnose(s)
	require.Contains(t, e.Summary, "CANCELLED")
	require.Contains(t, e.Summary, "The order is still open.")
	require.Len(t, e.Obstacles, 1)
	require.Contains(t, e.Obstacles[0], "CancelOrder is outbox row 813 of orchestrator, published, not handled by orders yet")
	require.Contains(t, e.Advice[0], "outbox-relay replay --database=orchestrator --key=42 --yes '--reason=the order lacks its last command'")

	s.Services = orders("CANCELLED")
	require.Empty(t, explain.Diagnose(s).Obstacles, "an order that has ended is not stuck")

	s.Saga, s.Services = nil, orders("CONFIRMED")
	e = explain.Diagnose(s)
	require.Equal(t, explain.NotKept, e.State)
	require.Contains(t, e.Summary, "order became CONFIRMED")
}

func TestDiagnose_OneCauseIsSaidOnce(t *testing.T) {
	t.Parallel()
	s, _ := waiting(t)
	def, _ := s.Registry.Definition("order", 1)
	d, err := def.Apply(*s.Saga, saga.Message{ID: uuid.New(), Type: "OrderCancelRequested", Key: "42", Data: []byte(`{"orderId":42}`)}, s.Now)
	require.NoError(t, err)
	s.Saga = &d.State
	for _, w := range def.Waits(d.State) {
		s.Databases[0].Sent = append(s.Databases[0].Sent, explain.Message{ID: 814, EventID: w.CommandID, Topic: "orders.commands.v1", Type: w.Command, Status: "pending", CreatedAt: began})
	}
	s.Databases[0].Sent[0].Status, s.Databases[0].Outbox.Paused = "pending", true
	e := explain.Diagnose(s)
	require.Len(t, e.Advice, 1, "%q", e.Advice)
}

func TestDiagnose_AttemptsBeyondTheirNumberAreNotCountedAgainstIt(t *testing.T) {
	t.Parallel()
	s, _ := waiting(t)
	def, _ := s.Registry.Definition("order", 1)
	for range 40 {
		due, waits := s.Saga.Deadline()
		if !waits {
			break
		}
		d, err := def.Apply(*s.Saga, saga.Due{}, due)
		require.NoError(t, err)
		s.Saga, s.Now = &d.State, due
	}
	require.Equal(t, saga.CompensationStuck, s.Saga.Phase)
	e := explain.Diagnose(s)
	require.NotRegexp(t, `attempt (9|[1-9][0-9]) of 8`, e.Summary)
	require.Contains(t, e.Summary, "its 8 are used up")
	for _, next := range e.Next {
		require.Contains(t, next, "a person should look")
	}
}

// A saga whose version is suspended shows as RUNNING until a message comes, and no deadline passes.
func TestDiagnose_ASagaOfASuspendedVersionHasNoNextAttempt(t *testing.T) {
	t.Parallel()
	s, _ := waiting(t)
	s.Registry.Suspend(saga.Suspension{Definition: "order", Version: 1, At: began, By: "ann", Reason: "being repaired"})
	e := explain.Diagnose(s)
	require.Contains(t, e.Summary, "All of order version 1 is suspended by ann since 41s. Waits for InventoryReserved")
	require.Equal(t, []string{"Nothing, until the version is resumed: no deadline is acted on, and messages for it are held."}, e.Next)
	require.Contains(t, e.Advice[len(e.Advice)-1], "saga resume --all '--reason=they can go on' -- order@1")
	s.Saga.Phase, s.Saga.EndedAt = saga.Completed, began.Add(time.Second)
	require.Equal(t, "CONFIRMED, 1s after it began.", explain.Diagnose(s).Summary)
}

// That nobody who could be asked has sent a message says nothing of a database that could not.
func TestDiagnose_ADatabaseThatDoesNotAnswerTheRelayMayHaveTheStart(t *testing.T) {
	t.Parallel()
	s, _ := waiting(t)
	s.Saga, s.Relay.URL = nil, "http://127.0.0.1:8083"
	s.Databases = []explain.Database{{Name: explain.OwnDatabase}, {Name: "orders", Error: "it did not answer the relay"}}
	e := explain.Diagnose(s)
	require.Equal(t, []string{"Whether that message has been sent is not known: of database orders, it did not answer the relay."}, e.Obstacles)
	require.Equal(t, []string{"curl -sm2 http://127.0.0.1:8083/readyz"}, e.Advice)
}

// Who suspended it, and how it goes on.
func TestDiagnose_ASuspendedSagaSaysByWhomAndHowItGoesOn(t *testing.T) {
	t.Parallel()
	programs := commandline.New(t)
	for by, want := range map[string]string{"ann": "saga resume '--reason=it can go on' -- 42", "": "saga resume --all '--reason=they can go on' -- order@1"} {
		s, _ := waiting(t)
		s.Saga.SuspendedFrom, s.Saga.Phase, s.Saga.SuspendedBy, s.Saga.SuspendedAt = s.Saga.Phase, saga.Suspended, by, began
		e := explain.Diagnose(s)
		require.Contains(t, e.Summary, "Suspended")
		require.Contains(t, e.Summary, "41s")
		require.Contains(t, e.Advice[0], want)
		programs.Require(t, e.Advice...)
	}
}

// settledLetter is the dead letter of a command that an operator has settled.
func settledLetter(command uuid.UUID, state string) explain.Message {
	return explain.Message{
		ID: 9, EventID: command, Type: "ReserveInventory", Topic: "inventory.commands.v1.dlq", Status: "published", Reason: "quantity",
		Letter: &explain.Letter{ID: 3, State: state, Settled: true},
	}
}
