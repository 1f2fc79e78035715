package runner_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

// booking is a saga whose last step, and whose given one, are those of the service that embeds it.
func booking(t *testing.T) *saga.Definition {
	t.Helper()
	policy := saga.RetryPolicy{Timeout: 10 * time.Second, MaxAttempts: 2, Jitter: -1}
	body := func(c saga.Call[map[string]string]) (any, error) { return c.Data, nil }
	s := saga.Define[map[string]string]("booking", 1)
	s.To("trips.commands.v1")
	s.StartOn("TripBooked", saga.From(func(m map[string]string) map[string]string { return m }))
	s.CancelOn("TripCancelRequested", time.Hour, nil)
	s.Step("trip").AlreadyDone("the service has written it").Undo("CancelTrip", body, "TripCancelled", policy)
	s.Step("room").Send("ReserveRoom", body).To("hotel.commands.v1").Success("RoomReserved").Failure("HotelFull", nil).
		Wait(policy, "the hotel did not answer").Undo("CancelRoom", body, "RoomCancelled", policy)
	s.Step("confirm").Send("ConfirmTrip", body).Success("TripConfirmed").RetryForever(policy).NoUndo("cancelling the trip takes it back")
	def, err := s.Build()
	require.NoError(t, err)
	return def
}

// trips is a service that embeds the saga.
type trips struct {
	*sagas
	fail   error // what its local commands fail with
	silent bool  // its local commands give no reply
}

func newTrips(t *testing.T, db *pgtest.Database) *trips {
	t.Helper()
	_, err := db.Pool.Exec(t.Context(), "create table if not exists trips (id text primary key, status text not null)")
	require.NoError(t, err)
	s := &trips{}
	s.sagas, err = trySagas(t, db, func(c *runner.Config) {
		c.Codec = nil
		c.Local = map[string]runner.Local{"ConfirmTrip": s.set("CONFIRMED", "TripConfirmed"), "CancelTrip": s.set("CANCELLED", "TripCancelled")}
	}, booking(t))
	require.NoError(t, err)
	return s
}

// set is the local command that sets the status of trips.
func (s *trips) set(status, reply string) runner.Local {
	return func(_ context.Context, tx *inbox.Tx, commands []saga.Command) (replies []saga.Message, err error) {
		ids := make([]string, len(commands))
		for i, c := range commands {
			ids[i] = c.Key
			m, err := runner.Reply(c, reply, struct{}{})
			if err != nil {
				return nil, err
			}
			replies = append(replies, m)
		}
		tx.Last.Queue("update trips set status = $2 where id = any ($1)", ids, status)
		if s.silent {
			return nil, nil
		}
		return replies, s.fail
	}
}

func booked(id string) saga.Message {
	return saga.Message{ID: uuid.New(), Type: "TripBooked", Key: id, Data: []byte(`{"hotel":"Ritz"}`)}
}

// book begins the saga of a trip in the transaction that writes the trip.
func (s *trips) book(ctx context.Context, m saga.Message) error {
	return pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "insert into trips values ($1, 'PENDING') on conflict do nothing", m.Key); err != nil {
			return err
		}
		return s.Start(ctx, tx, m)
	})
}

// hears hands over a reply to the only command of a type that was sent for a trip.
func (s *trips) hears(t *testing.T, reply, command, trip string) error {
	t.Helper()
	var cause uuid.UUID
	require.NoError(t, s.Pool.QueryRow(t.Context(), "select event_id from outbox where type = $1 and key = $2", command, trip).Scan(&cause))
	return s.Process(t.Context(), []inbox.Delivery{{
		Topic: "hotel.v1", Offset: offset.Add(1), Key: []byte(trip), Value: []byte("{}"), Headers: []inbox.Header{
			{Key: "ce_id", Value: []byte(uuid.NewString())}, {Key: "ce_type", Value: []byte(reply)}, {Key: "ce_causationid", Value: []byte(cause.String())},
		},
	}})
}

// stands returns the state of a trip's saga, the trip's status, and the types of what the outbox
// holds.
func (s *trips) stands(t *testing.T, trip string) (state saga.Phase, status string, sent []string) {
	t.Helper()
	one, _, err := s.Get(t.Context(), saga.Ref{ID: trip})
	if !errors.Is(err, store.ErrNotFound) {
		require.NoError(t, err)
	}
	require.NoError(t, s.Pool.QueryRow(t.Context(),
		"select coalesce((select status from trips where id = $1), ''), (select coalesce(array_agg(type order by id), '{}') from outbox where key = $1)",
		trip).Scan(&status, &sent))
	return one.Phase, status, sent
}

// Two messages for a whole saga: a command to the hotel, and its answer. The rest happens in the
// transactions that the service has anyway.
func TestLocal_ACommandIsCarriedOutInTheTransactionThatLeadsToIt(t *testing.T) {
	t.Parallel()
	s := newTrips(t, newDB(t))
	require.NoError(t, s.book(t.Context(), booked("1")))
	state, status, sent := s.stands(t, "1")
	require.Equal(t, []any{saga.Running, "PENDING", []string{"ReserveRoom"}}, []any{state, status, sent})
	require.NoError(t, s.hears(t, "RoomReserved", "ReserveRoom", "1"))
	state, status, sent = s.stands(t, "1")
	require.Equal(t, []any{saga.Completed, "CONFIRMED", []string{"ReserveRoom"}}, []any{state, status, sent})
	_, lines, err := s.Get(t.Context(), saga.Ref{ID: "1"})
	require.NoError(t, err)
	require.Equal(t, []string{"TripBooked", "RoomReserved", "TripConfirmed"}, []string{lines[0].CauseType, lines[1].CauseType, lines[2].CauseType})
}

func TestLocal_AnUndoIsCarriedOutHereToo(t *testing.T) {
	t.Parallel()
	s := newTrips(t, newDB(t))
	require.NoError(t, s.book(t.Context(), booked("1")))
	require.NoError(t, s.hears(t, "HotelFull", "ReserveRoom", "1"))
	state, status, sent := s.stands(t, "1")
	require.Equal(t, []any{saga.Cancelled, "CANCELLED", []string{"ReserveRoom"}}, []any{state, status, sent})

	require.NoError(t, s.book(t.Context(), booked("2")))
	require.NoError(t, s.hears(t, "RoomReserved", "ReserveRoom", "2"))
	by := saga.Operator{ID: uuid.New(), Actor: "ann", Reason: "the customer called"}
	o, err := s.Intervene(t.Context(), runner.Intervention{Saga: saga.Ref{ID: "2"}, Do: saga.Cancel{Operator: by}})
	require.NoError(t, err)
	require.Equal(t, runner.Done, o.Result)
	require.NoError(t, s.hears(t, "RoomCancelled", "CancelRoom", "2"))
	state, status, _ = s.stands(t, "2")
	require.Equal(t, []any{saga.Cancelled, "CANCELLED"}, []any{state, status})
}

// What a local command writes, the reply that led to it and the saga's state are in one
// transaction.
func TestLocal_OneThatFailsTakesTheWholeBatchBack(t *testing.T) {
	t.Parallel()
	s := newTrips(t, newDB(t))
	require.NoError(t, s.book(t.Context(), booked("1")))
	s.fail = errors.New("no")
	require.ErrorIs(t, s.hears(t, "RoomReserved", "ReserveRoom", "1"), s.fail)
	state, status, _ := s.stands(t, "1")
	require.Equal(t, []any{saga.Running, "PENDING"}, []any{state, status})
	s.fail = nil
	require.NoError(t, s.hears(t, "RoomReserved", "ReserveRoom", "1"))
	state, status, _ = s.stands(t, "1")
	require.Equal(t, []any{saga.Completed, "CONFIRMED"}, []any{state, status})
}

func TestLocal_OneWithoutAReplyIsTriedAgainAtItsDeadline(t *testing.T) {
	t.Parallel()
	s := newTrips(t, newDB(t))
	require.NoError(t, s.book(t.Context(), booked("1")))
	s.silent = true
	require.NoError(t, s.hears(t, "RoomReserved", "ReserveRoom", "1"))
	state, _, _ := s.stands(t, "1")
	require.Equal(t, saga.Running, state)
	s.silent = false
	n, err := s.due(t.Context(), start.Add(time.Minute), store.ReadAll(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	state, status, _ := s.stands(t, "1")
	require.Equal(t, []any{saga.Completed, "CONFIRMED"}, []any{state, status})
}

// The local command of one saga fails whenever it is tried; that of another, whose deadline passed
// at the same time, is carried out.
func TestLocal_OneThatAlwaysFailsHoldsUpNoOtherDeadline(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	s := newTrips(t, db)
	s.silent = true // both confirmations are tried again at their deadlines
	for _, id := range []string{"13", "14"} {
		require.NoError(t, s.book(t.Context(), booked(id)))
		require.NoError(t, s.hears(t, "RoomReserved", "ReserveRoom", id))
	}
	_, err := db.Pool.Exec(t.Context(), "update trips set status = 'PENDING'")
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), "alter table trips add constraint unlucky check (id <> '13' or status <> 'CONFIRMED')")
	require.NoError(t, err)
	s.silent = false
	n, err := s.due(t.Context(), start.Add(time.Minute), store.ReadAll(), 10)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	state, status, _ := s.stands(t, "14")
	require.Equal(t, []any{saga.Completed, "CONFIRMED"}, []any{state, status})
	state, status, _ = s.stands(t, "13")
	require.Equal(t, []any{saga.Running, "PENDING"}, []any{state, status})
	stuck, err := s.List(t.Context(), inspect.Filter{Stuck: true, Limit: 10}, start)
	require.NoError(t, err)
	require.Len(t, stuck, 1)
	require.Contains(t, stuck[0].Trouble, "unlucky")
}

func TestStart_TheSagaExistsOnlyIfTheTransactionCommits(t *testing.T) {
	t.Parallel()
	s := newTrips(t, newDB(t))
	m, failure := booked("1"), errors.New("the card was declined")
	require.ErrorIs(t, pgx.BeginFunc(t.Context(), s.Pool, func(tx pgx.Tx) error {
		require.NoError(t, s.Start(t.Context(), tx, m))
		return failure
	}), failure)
	state, _, sent := s.stands(t, "1")
	require.Empty(t, state)
	require.Empty(t, sent)
	require.NoError(t, s.book(t.Context(), m))
	require.NoError(t, s.book(t.Context(), m), "the client has repeated its request")
	state, _, sent = s.stands(t, "1")
	require.Equal(t, []any{saga.Running, []string{"ReserveRoom"}}, []any{state, sent})
	require.ErrorIs(t, s.book(t.Context(), booked("1")), saga.ErrStartConflict)
	other := booked("2")
	other.Type = "RoomReserved"
	require.ErrorIs(t, s.book(t.Context(), other), runner.ErrStartsNothing)
}

// A client who asks for a cancellation asks the service that embeds the saga: no message is needed.
func TestDeliver_HandsOverWhatTheServiceLearnsByOtherWays(t *testing.T) {
	t.Parallel()
	s := newTrips(t, newDB(t))
	require.NoError(t, s.book(t.Context(), booked("1")))
	cancel := func(trip string) error {
		return pgx.BeginFunc(t.Context(), s.Pool, func(tx pgx.Tx) error {
			return s.Deliver(t.Context(), tx, saga.Message{Type: "TripCancelRequested", Key: trip, Data: []byte("{}")})
		})
	}
	require.NoError(t, cancel("1"))
	require.NoError(t, s.hears(t, "HotelFull", "ReserveRoom", "1"))
	state, status, _ := s.stands(t, "1")
	require.Equal(t, []any{saga.Cancelled, "CANCELLED"}, []any{state, status})
	require.ErrorIs(t, pgx.BeginFunc(t.Context(), s.Pool, func(tx pgx.Tx) error {
		return s.Deliver(t.Context(), tx, saga.Message{Type: "RoomReserved", Key: "9", Data: []byte("{}")})
	}), saga.ErrUnknownSaga)
}

func TestQueueStart_NeedsNoRoundTripAndRefusesASagaThatExists(t *testing.T) {
	t.Parallel()
	s := newTrips(t, newDB(t))
	queue := func(messages ...saga.Message) error {
		batch := &pgx.Batch{}
		require.NoError(t, s.QueueStart(t.Context(), batch, messages...))
		return s.Pool.SendBatch(t.Context(), batch).Close()
	}
	require.NoError(t, queue(booked("1"), booked("2")))
	list, err := s.List(t.Context(), inspect.Filter{Limit: 10}, start)
	require.NoError(t, err)
	require.Len(t, list, 2)
	_, _, sent := s.stands(t, "2")
	require.Equal(t, []string{"ReserveRoom"}, sent)
	var violation *pgconn.PgError
	require.ErrorAs(t, queue(booked("3"), booked("1")), &violation)
	require.Equal(t, "23505", violation.Code)
	_, _, sent = s.stands(t, "3")
	require.Empty(t, sent, "all or nothing")
}

func TestNew_ReportsEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	s := saga.Define[struct{}]("trip", 3)
	s.StartOn("TripBooked", saga.From(func(struct{}) struct{} { return struct{}{} }))
	body := func(saga.Call[struct{}]) (any, error) { return nil, nil }
	s.Step("room").Send("ReserveRoom", body).Success("RoomReserved").Wait(saga.RetryPolicy{Timeout: time.Second, MaxAttempts: 1}, "silent").NoUndo("x")
	def, err := s.Build()
	require.NoError(t, err)
	_, err = runner.New(t.Context(), runner.Config{Definitions: []*saga.Definition{def}, DeadlineRate: -1})
	for _, problem := range []string{"DB", "Consumer", "DeadlineRate of -1", `"trip" version 3: no topic for ReserveRoom`} {
		require.ErrorContains(t, err, problem)
	}
}

// What could never work is said when the process starts, and not by each saga.
func TestNew_NamesCommandsThatCannotGoAnywhere(t *testing.T) {
	t.Parallel()
	s := saga.Define[struct{}]("trip", 3)
	s.StartOn("TripBooked", saga.From(func(struct{}) struct{} { return struct{}{} }))
	s.To("hotel commands")
	body := func(saga.Call[struct{}]) (any, error) { return nil, nil }
	policy := saga.RetryPolicy{Timeout: time.Second, MaxAttempts: 1}
	s.Step("room").Send("ReserveRoom", body).Success("RoomReserved").Wait(policy, "silent").Undo("ReleaseRoom", body, "RoomReleased", policy)
	def, err := s.Build()
	require.NoError(t, err)
	_, err = runner.New(t.Context(), runner.Config{
		Definitions: []*saga.Definition{def, nil},
		Local: map[string]runner.Local{
			"ReleaseRoom":  nil,
			"ReserveRooms": func(context.Context, *inbox.Tx, []saga.Command) ([]saga.Message, error) { return nil, nil },
		},
	})
	for _, problem := range []string{
		`"trip" version 3: ReserveRoom could never be sent: append to outbox: message 0: the topic is not made of`,
		"a definition is nil: look at the error of its Build",
		"Local carries out ReserveRooms, which no definition sends", "Local has no function for ReleaseRoom",
	} {
		require.ErrorContains(t, err, problem)
	}
}

func TestNew_SaysWhatToRunWhereTheDatabaseWasNotSetUp(t *testing.T) {
	t.Parallel()
	s := saga.Define[struct{}]("trip", 1)
	s.StartOn("TripBooked", saga.From(func(struct{}) struct{} { return struct{}{} }))
	s.Step("rest").After(time.Second)
	def, err := s.Build()
	require.NoError(t, err)
	_, err = runner.New(t.Context(), runner.Config{DB: pgtest.New(t, migrations.Outbox).Pool, Consumer: "trips", Definitions: []*saga.Definition{def}})
	require.ErrorContains(t, err, "run: migrate up --database URL orchestrator")
}

// Messages of others on the topics are left alone, whatever they look like.
func TestProcess_LeavesMessagesOfOthersAlone(t *testing.T) {
	t.Parallel()
	s := newTrips(t, newDB(t))
	var batch []inbox.Delivery
	for _, kind := range []string{"ParcelLost", "RoomReserved"} {
		batch = append(batch, inbox.Delivery{Topic: "hotel.v1", Offset: offset.Add(1), Key: []byte("1"), Value: []byte("{not json"), Headers: []inbox.Header{
			{Key: "ce_id", Value: []byte(uuid.NewString())}, {Key: "ce_type", Value: []byte(kind)},
		}})
	}
	require.NoError(t, s.Process(t.Context(), batch))
	var letters []string
	require.NoError(t, s.Pool.QueryRow(t.Context(), "select array_agg(type) from outbox where topic = 'hotel.v1.dlq'").Scan(&letters))
	require.Equal(t, []string{"RoomReserved"}, letters, "what a saga knows and cannot be read is a dead letter")
}

// All messages without a key would be of one saga, and its commands in no order.
func TestRunner_AMessageWithoutAKeyIsOfNoSaga(t *testing.T) {
	t.Parallel()
	s := newTrips(t, newDB(t))
	require.ErrorContains(t, s.book(t.Context(), booked("")), "TripBooked has no key, which is the saga's id")
	require.NoError(t, s.Process(t.Context(), []inbox.Delivery{{Topic: "trips.v1", Offset: offset.Add(1), Value: []byte("{}"), Headers: []inbox.Header{
		{Key: "ce_id", Value: []byte(uuid.NewString())}, {Key: "ce_type", Value: []byte("TripBooked")},
	}}}))
	var sagas, letters int
	require.NoError(t, s.Pool.QueryRow(t.Context(), "select (select count(*) from sagas), (select count(*) from outbox where topic = 'trips.v1.dlq')").Scan(&sagas, &letters))
	require.Equal(t, []int{0, 1}, []int{sagas, letters})
}
