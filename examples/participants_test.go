// Package examples_test runs the examples that are not in Go against a real Postgres and a broker.
package examples_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/cloudevents"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// language is a participant that has one thing to give away, and the types of its messages.
type language struct {
	folder  string
	command func(t *testing.T, db *pgxpool.Config) *exec.Cmd
	topic   string
	stock   string // puts one into the database
	do      string // the command, and what is in it
	body    string
	undo    string
	answers [3]string // done, refused, undone
	taken   string    // how many are given away
}

func languages() []language {
	return []language{
		{
			folder: "python-participant", command: python, topic: "car.commands.v1",
			stock: `insert into cars (plate, class) values ('WB-1', 'small')`,
			do:    "RentCar", body: `{"class":"small"}`, undo: "ReturnCar",
			answers: [3]string{"CarRented", "CarRefused", "CarReturned"},
			taken:   `select count(*) from cars where saga is not null`,
		},
		{
			folder: "java-participant", command: java, topic: "bank.commands.v1",
			stock: `insert into accounts values ('4242', 150)`,
			do:    "TakePayment", body: `{"card":"4242","cents":100}`, undo: "RefundPayment",
			answers: [3]string{"PaymentTaken", "PaymentDeclined", "PaymentRefunded"},
			taken:   `select count(*) from payments`,
		},
	}
}

// python runs the example with the packages that `make setup-examples` has installed.
func python(t *testing.T, db *pgxpool.Config) *exec.Cmd {
	t.Helper()
	interpreter, err := filepath.Abs("../bin/examples/python/bin/python")
	require.NoError(t, err)
	if out, err := exec.CommandContext(t.Context(), interpreter, "-c", "import psycopg, confluent_kafka").CombinedOutput(); err != nil {
		t.Skipf("no Python with psycopg and confluent-kafka: run `make setup-examples` (%v) %s", err, out)
	}
	cmd := exec.Command(interpreter, "-u", "car.py")
	cmd.Env = append(os.Environ(), "DATABASE_URL="+db.ConnString())
	return cmd
}

// java runs the example from source with the jars that `make setup-examples` has fetched.
func java(t *testing.T, db *pgxpool.Config) *exec.Cmd {
	t.Helper()
	launcher, err := exec.LookPath("java")
	if _, noCompiler := exec.LookPath("javac"); err != nil || noCompiler != nil {
		t.Skipf("no JDK, 17 or newer: %v", errors.Join(err, noCompiler))
	}
	classpath, err := os.ReadFile("../bin/examples/java-classpath")
	if err != nil {
		t.Skipf("no jars for the Java example: run `make setup-examples` (%v)", err)
	}
	cmd := exec.Command(launcher, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-XX:TieredStopAtLevel=1",
		"-cp", strings.TrimSpace(string(classpath)), "Bank.java")
	c := db.ConnConfig
	cmd.Env = append(os.Environ(), "DATABASE_URL=jdbc:postgresql://"+c.Host+":"+strconv.Itoa(int(c.Port))+"/"+c.Database+"?user="+c.User+"&password="+c.Password)
	return cmd
}

// A participant in another language keeps the same promises as the kit, over a real broker: once
// per saga, the same answer again, refusals that leave nothing behind, an undo that comes first.
func TestParticipants_InOtherLanguagesKeepThePromises(t *testing.T) {
	t.Parallel()
	for _, l := range languages() {
		t.Run(l.folder, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t, migrations.Outbox, migrations.Participant)
			schema, err := os.ReadFile(filepath.Join(l.folder, "schema.sql"))
			require.NoError(t, err)
			for _, sql := range []string{string(schema), l.stock} {
				_, err := db.Pool.Exec(t.Context(), sql)
				require.NoError(t, err)
			}
			cmd := l.command(t, db.Pool.Config())
			broker := kafkatest.Start(t, l.topic)
			start(t, l, cmd, broker.Addr())
			s := &saga{t: t, l: l, broker: broker, db: db.Pool}

			first := s.send("1", l.do, l.body)
			require.Equal(t, []string{l.answers[0]}, s.answers(1))
			s.send("1", l.do, l.body)
			s.redeliver("1", l.do, l.body, first)
			s.send("2", l.do, l.body) // there is no second one
			s.send("1", l.undo, "{}")
			s.send("1", l.undo, "{}")
			s.send("1", l.do, l.body)
			s.send("3", l.undo, "{}") // before its command
			s.send("3", l.do, l.body)
			s.send("4", l.do, "{") // can never be handled
			s.answers(10)

			require.Equal(t, []string{
				l.answers[0], l.answers[0] + " again", l.answers[0] + " again", l.answers[2], l.answers[2] + " again", l.answers[1],
			}, s.of("1"))
			require.Equal(t, []string{l.answers[2], l.answers[1]}, s.of("3"))
			require.Contains(t, [][]string{{l.answers[1]}, {l.answers[0]}}, s.of("2"), "another partition: before the first was given back, or after")
			require.Equal(t, 1, s.count(`select count(*) from outbox where type = 'DeadLetter' and topic = '`+l.topic+`.dlq'`))
			s.sameEvents()
			given := 0
			if s.of("2")[0] == l.answers[0] {
				given = 1
			}
			require.Equal(t, given, s.count(l.taken))
		})
	}
}

// They have the messages of the trip's saga, so that they can take the place of its car and its
// bank.
func TestParticipants_FitTheTrip(t *testing.T) {
	t.Parallel()
	definition, err := os.ReadFile("trip/saga.go")
	require.NoError(t, err)
	for _, l := range languages() {
		for _, word := range append(l.answers[:], l.topic, l.do, l.undo) {
			require.Contains(t, string(definition), `"`+word+`"`, l.folder)
		}
	}
}

// start runs a participant until the test ends; it must end when it is asked to.
func start(t *testing.T, l language, cmd *exec.Cmd, brokers string) {
	t.Helper()
	var out strings.Builder
	cmd.Dir, cmd.Stdout, cmd.Stderr = l.folder, &out, &out
	cmd.Env = append(cmd.Env, "KAFKA_BROKERS="+brokers)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		killer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		err := cmd.Wait()
		killer.Stop()
		if t.Failed() || (err != nil && cmd.ProcessState.ExitCode() != 143) {
			t.Errorf("%s ended with %v:\n%s", l.folder, err, &out)
		}
	})
}

// saga sends commands and looks at the answers in the outbox.
type saga struct {
	t      *testing.T
	l      language
	broker *kafkatest.Broker
	db     *pgxpool.Pool
}

func (s *saga) send(key, kind, body string) uuid.UUID {
	id := uuid.Must(uuid.NewV7())
	s.redeliver(key, kind, body, id)
	return id
}

func (s *saga) redeliver(key, kind, body string, id uuid.UUID) {
	s.broker.Produce(s.t, kafkatest.Record{
		Topic: s.l.topic, Key: []byte(key), Value: []byte(body),
		Headers: map[string]string{"ce_id": id.String(), "ce_type": kind, "waybill-saga": "trip", "traceparent": trace},
	})
}

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// answers awaits n rows in the outbox, and returns their types.
func (s *saga) answers(n int) []string {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		var rows int
		return s.db.QueryRow(s.t.Context(), `select count(*) from outbox`).Scan(&rows) == nil && rows >= n
	}, 3*time.Minute, 20*time.Millisecond)
	return s.types(`true`)
}

func (s *saga) of(key string) []string { return s.types(`key = '` + key + `'`) }

func (s *saga) types(where string) []string {
	s.t.Helper()
	rows, err := s.db.Query(s.t.Context(), `
select type || case when headers ? 'waybill-in-reply-to' then ' again' else '' end from outbox where `+where+` order by id`)
	require.NoError(s.t, err)
	types, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(s.t, err)
	return types
}

func (s *saga) count(sql string) (n int) {
	s.t.Helper()
	require.NoError(s.t, s.db.QueryRow(s.t.Context(), sql).Scan(&n))
	return n
}

// sameEvents requires that answers of one type to one saga are one event with one body, under the
// id that the kit in Go would give them.
func (s *saga) sameEvents() {
	s.t.Helper()
	type event struct {
		Key, Type string
		ID        uuid.UUID
		Bodies    int
	}
	rows, err := s.db.Query(s.t.Context(), `
select key, type, event_id, count(distinct payload) from outbox where headers ->> 'traceparent' = $1 group by 1, 2, 3`, trace)
	require.NoError(s.t, err)
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[event])
	require.NoError(s.t, err)
	for _, e := range events {
		require.Equal(s.t, event{e.Key, e.Type, cloudevents.EventID("trip/"+e.Key, s.l.do, e.Type), 1}, e)
	}
	require.Len(s.t, events, 6, "three of saga 1, one of 2, two of 3")
}
