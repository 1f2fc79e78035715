package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/loopback"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

// outboxRelay runs a verb of the command line and returns what it printed.
func outboxRelay(t *testing.T, databases string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asRelay+"=1", "RELAY_DATABASES="+databases)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestTheCommandLineMendsAStuckRow(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	databases := "orders=" + p.db.URL
	verb := func(args ...string) string {
		out, err := outboxRelay(t, databases, args...)
		require.NoError(t, err, out)
		return out
	}
	_, err := p.db.Pool.Exec(t.Context(), `insert into outbox (topic, key, type, payload)
		values ('missing.v1', '17', 'OrderCreated', '{"orderId":17}'), ('orders.v1', '17', 'OrderConfirmed', '{"orderId":17}'), ('orders.v1', '18', 'T', '{}'),
		('missing.v1', '18', 'T', '{}')`)
	require.NoError(t, err)
	require.Contains(t, verb("pending"), "OrderCreated")
	relay := p.start(t, p.db.URL)
	p.awaitLeader(t, relay)
	await(t, func() bool { return strings.Contains(verb("stuck", "list"), "UNKNOWN_TOPIC") }, "the row to be stuck")
	await(t, func() bool { return strings.Contains(verb("pending"), "none") }, "the other rows to be published")

	shown := verb("stuck", "show", "1")
	require.Contains(t, shown, `{"orderId":17}`)
	require.Contains(t, shown, "rows behind it")
	out, err := outboxRelay(t, databases, "stuck", "discard", "1")
	require.Error(t, err)
	require.Contains(t, out, "--reason")
	require.Contains(t, verb("stuck", "discard", "1", "--reason", "sent by mistake", "--actor", "ada"), "discarded")
	p.broker.Consume(t, topic, 2)

	require.Contains(t, verb("pause"), "orders is paused")
	require.Contains(t, verb("status"), "true")
	require.Contains(t, verb("resume"), "orders is resumed")
	require.Contains(t, verb("replay", "--key", "17"), "would send 1 rows")
	require.Len(t, p.broker.All(t, topic), 2, "a dry run sends nothing")
	require.Contains(t, verb("replay", "--key", "17", "--yes", "--reason", "consumer lost it"), "done: 1 of 1 rows sent")
	require.Len(t, p.broker.All(t, topic), 3)

	var audit map[string][]struct{ Actor, Action, Reason string }
	require.NoError(t, json.Unmarshal([]byte(verb("audit-log", "--json")), &audit))
	require.Len(t, audit["orders"], 4)
	require.Regexp(t, `^[^ ]+ for ada$`, audit["orders"][3].Actor, "who it was, and who that says they are")
	require.Equal(t, "sent by mistake", audit["orders"][3].Reason)
	for _, which := range []string{"4", "--all"} {
		await(t, func() bool {
			out, err := outboxRelay(t, databases, "stuck", "retry", which)
			return err != nil && strings.Contains(out, "refused again") // without an error where that took longer than it looks
		}, "stuck retry %s to say that its row was refused", which)
	}
}

func TestTheCommandLineSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	db, other := pgtest.New(t, migrations.Outbox), pgtest.New(t)
	both := "orders=" + db.URL + ",inventory=" + other.URL
	for want, args := range map[string][]string{
		"say which database: --database orders | inventory, or every one: --all": {"pause"},
		"to pass over that database":      {"show", "1"},
		`no database "x"`:                 {"show", "1", "-d", "x"},
		"outbox row 1 of database orders": {"show", "1", "-d", "orders"},
		"say which rows":                  {"replay", "-d", "orders"},
		"is neither a time":               {"replay", "-d", "orders", "--since", "yesterday"},
		"relation \"public.outbox":        {"stuck", "list", "-d", "inventory"},
	} {
		out, err := outboxRelay(t, both, args...)
		require.Error(t, err)
		require.Contains(t, out, want)
		require.NotContains(t, out, "goroutine")
	}
	out, err := outboxRelay(t, "", "status")
	require.Error(t, err)
	require.Contains(t, out, "RELAY_DATABASES must list name=URL")
	out, err = outboxRelay(t, "orders=postgres://u:hidden@127.0.0.1:1/x", "status")
	require.Error(t, err)
	require.NotContains(t, out, "hidden")
}

// With several databases a verb finds the one that it is about, or says that it cannot; and what
// stops everybody has to be said.
func TestCLI_VerbsFindTheirDatabase(t *testing.T) {
	t.Parallel()
	orders, inventory := pgtest.New(t, migrations.Outbox), pgtest.New(t, migrations.Outbox)
	both := "orders=" + orders.URL + ",inventory=" + inventory.URL
	verb := func(args ...string) string {
		out, err := outboxRelay(t, both, args...)
		require.NoError(t, err, out)
		return out
	}
	for _, db := range []*pgtest.Database{orders, inventory} {
		_, err := db.Pool.Exec(t.Context(), `insert into outbox (topic, key, type, payload) select 'orders.v1', 'k', 'T', '{}' from generate_series(1, 3)`)
		require.NoError(t, err)
	}
	_, err := inventory.Pool.Exec(t.Context(), `insert into outbox (topic, key, type, payload) values ('orders.v1', 'k4', 'T', '{}')`)
	require.NoError(t, err)
	_, err = inventory.Pool.Exec(t.Context(), `update outbox_cursor set published = '{[1,5)}'`)
	require.NoError(t, err)
	_, err = inventory.Pool.Exec(t.Context(), `insert into outbox_stuck (outbox_id, key, topic, parked, error, next_attempt_at) values (2, 'k', 'orders.v1', false, 'too large', now())`)
	require.NoError(t, err)

	require.Contains(t, verb("stuck", "show", "2"), "too large")
	require.Contains(t, verb("show", "4"), "k4")
	out, err := outboxRelay(t, both, "show", "1")
	require.Error(t, err)
	require.Contains(t, out, "several databases have row 1; say which: --database orders | inventory")
	out, err = outboxRelay(t, both, "show", "99")
	require.Error(t, err)
	require.Contains(t, out, "no database has row 99")
	require.Contains(t, verb("stuck", "retry", "--all"), "orders: of 0 stuck rows")
	out, err = outboxRelay(t, both, "stuck", "discard", "2", "--reason", "test")
	require.NoError(t, err, out)

	plan := verb("replay", "--from-id", "1")
	require.Contains(t, plan, "orders: would send 0 rows")
	require.Contains(t, plan, "inventory: would send 3 rows")
	require.Contains(t, plan, "add --yes and --reason, for this database: --database inventory")
	require.Contains(t, verb("replay", "--from-id", "1", "--yes", "--reason", "a new consumer", "--detach"), "of 3 rows has been asked for")
	require.Contains(t, verb("replays", "cancel", "1"), "cancelled")

	out, err = outboxRelay(t, both, "resume")
	require.Error(t, err)
	require.Contains(t, out, "--all")
	require.Contains(t, verb("pause", "--all"), "inventory is paused")
	require.Contains(t, verb("resume", "-d", "orders"), "orders is resumed")
	require.Contains(t, verb("gaps"), "orders: no gaps")
}

// What is missing shows with the transactions that may still fill it.
func TestCLI_GapsNamesWhatHoldsThem(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	tx, err := p.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `insert into outbox (topic, type, payload) values ('orders.v1', 'T', '')`)
	require.NoError(t, err)
	_, err = p.db.Pool.Exec(t.Context(), `insert into outbox (topic, type, payload) values ('orders.v1', 'T', '')`)
	require.NoError(t, err)
	base := p.serve(t) + "/v1/outbox"
	await(t, func() bool {
		_, body := get(t, base+"/orders/gaps")
		return strings.Contains(body, `"count":1`)
	}, "the gap")
	out, err := outboxRelay(t, "orders="+p.db.URL, "gaps")
	require.NoError(t, err, out)
	require.Contains(t, out, "1 ids are missing in 1 ranges: 1\n")
	var pid int
	require.NoError(t, tx.QueryRow(t.Context(), `select pg_backend_pid()`).Scan(&pid))
	require.Contains(t, out, fmt.Sprint("pid ", pid))
	require.Contains(t, out, "idle in transaction")
	require.NoError(t, tx.Rollback(t.Context()))

	name := fmt.Sprint("forgotten ", time.Now().UnixNano())
	conn, err := p.db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	for _, sql := range []string{
		`begin`, `set local waybill.notify = 'off'`, `insert into outbox (topic, type, payload) values ('orders.v1', 'T', '')`, `prepare transaction '` + name + `'`,
		`insert into outbox (topic, type, payload) values ('orders.v1', 'T', '')`,
	} {
		_, err = conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	await(t, func() bool {
		_, body := get(t, base+"/orders/gaps")
		return strings.Contains(body, name)
	}, "the prepared transaction to be named")
	_, err = p.db.Pool.Exec(t.Context(), `rollback prepared '`+name+`'`)
	require.NoError(t, err)
}

// serve starts a relay process with these settings and returns its address once it answers.
func (p *pair) serve(t *testing.T, env ...string) string {
	t.Helper()
	port, err := loopback.FreePort()
	require.NoError(t, err)
	addr := loopback.Addr(port)
	p.start(t, p.db.URL, append(env, "HTTP_ADDR="+addr)...)
	await(t, func() bool {
		status, _ := get(t, "http://"+addr+"/readyz")
		return status == http.StatusOK
	}, "the relay to be ready")
	return "http://" + addr
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func post(t *testing.T, url, token, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(answer)
}

func TestTheHTTPVerbsNeedATokenToChangeAnything(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	_, err := p.db.Pool.Exec(t.Context(), `insert into outbox (topic, key, type, payload) values ('missing.v1', '17', 'T', '{}'), ('orders.v1', '17', 'T', '{}')`)
	require.NoError(t, err)
	base := p.serve(t, "RELAY_ADMIN_TOKENS=ada=correct-horse-battery,bob=battery-staple-horse") + "/v1/outbox"
	await(t, func() bool {
		_, body := get(t, base+"/orders/stuck")

		return strings.Contains(body, "UNKNOWN_TOPIC")
	}, "the row to be stuck")

	discard := base + "/orders/rows/1/discard"
	for _, token := range []string{"", "wrong", "correct-horse-batter", "correct-horse-battery2"} {
		status, body := post(t, discard, token, `{"reason":"test"}`)
		require.Equal(t, http.StatusUnauthorized, status, body)
	}
	status, body := post(t, discard, "battery-staple-horse", `{}`)
	require.Equal(t, http.StatusUnprocessableEntity, status, body)
	status, body = post(t, discard, "battery-staple-horse", `{"reason":"test"}`)
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"discarded"`)
	p.broker.Consume(t, topic, 1)
	status, body = post(t, discard, "battery-staple-horse", `{"reason":"test"}`)
	require.Equal(t, http.StatusConflict, status, body)

	_, body = get(t, base+"/orders/audit-log")
	require.Contains(t, body, `"actor":"bob"`)
	status, body = post(t, base+"/orders/replays", "correct-horse-battery", `{"fromId":1}`)
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"rows":1`)
	status, body = post(t, base+"/orders/pause", "correct-horse-battery", "")
	require.Equal(t, http.StatusOK, status, body)
	status, body = post(t, base+"/orders/resume", "correct-horse-battery", `{"reason":"test"}`)
	require.Equal(t, http.StatusOK, status, body)
	status, body = post(t, base+"/orders/replays", "correct-horse-battery", `{"fromId":1,"yes":true}`)
	require.Equal(t, http.StatusUnprocessableEntity, status, body)
	require.Contains(t, body, "a replay needs a reason")
	status, body = post(t, base+"/orders/replays", "correct-horse-battery", `{"fromId":1,"yes":true,"reason":"a new consumer"}`)
	require.Equal(t, http.StatusOK, status, body)
	_, body = get(t, base+"/orders/audit-log")
	require.Contains(t, body, "a new consumer")
	p.broker.Consume(t, topic, 2)
	status, body = post(t, base+"/orders/replays", "correct-horse-battery", `{}`)
	require.Equal(t, http.StatusUnprocessableEntity, status, body)
	for path, want := range map[string]int{
		"": 200, "/orders/rows/1": 200, "/orders/rows/99": 404, "/nowhere/stuck": 404, "/orders/rows/x": 400, "/orders/replays": 200, "/orders/replays/1": 200,
	} {
		status, body = get(t, base+path)
		require.Equal(t, want, status, "%s: %s", path, body)
	}
}

func TestWithoutTokensChangesAreOffAndReadingIsOn(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	base := p.serve(t)
	status, body := post(t, base+"/v1/outbox/orders/pause", "anything", `{}`)
	require.Equal(t, http.StatusForbidden, status, body)
	require.Contains(t, body, "RELAY_ADMIN_TOKENS")
	status, body = get(t, base+"/v1/outbox")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `"database":"orders"`)
	status, body = get(t, base+"/metrics")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `waybill_relay_leader{database="orders"} 1`)
}

func TestReadyzSaysWhatTheRelayWaitsFor(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	base := p.serve(t)
	p.broker.Stop()
	await(t, func() bool {
		status, body := get(t, base+"/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "no broker answers")
	}, "readyz to report the broker")
	p.broker.Start(t)
	await(t, func() bool { status, _ := get(t, base+"/readyz"); return status == http.StatusOK }, "readyz to be well again")
	_, err := p.db.Pool.Exec(t.Context(), fmt.Sprintf(`alter table outbox_cursor rename to %s`, "elsewhere"))
	require.NoError(t, err)
	_, err = p.db.Pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'outbox-relay' and datname = current_database()`)
	require.NoError(t, err)
	await(t, func() bool {
		_, body := get(t, base+"/readyz")
		return strings.Contains(body, "migrate up --database URL outbox")
	}, "readyz to report the schema")
}

func TestTheProcessStopsInOrder(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asRelay+"=1", "RELAY_DATABASES=orders="+p.db.URL, "KAFKA_BROKERS="+p.broker.Addr(), "HTTP_ADDR=127.0.0.1:0")
	require.NoError(t, cmd.Start())
	p.awaitLeader(t, cmd.Process)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(deadline):
		t.Fatal("the relay did not stop")
	}
}

// One database that cannot be reached is shown, and makes the process no less ready for the others;
// so is a pause.
func TestReadyzJudgesEachDatabaseByItself(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	base := p.serve(t, "RELAY_DATABASES=orders="+p.db.URL+",broken=postgres://127.0.0.1:1/nowhere")
	await(t, func() bool {
		status, body := get(t, base+"/readyz")
		return status == http.StatusOK && strings.Contains(body, `"database broken":"the database does not answer`) &&
			strings.Contains(body, `"database orders":"ok"`)
	}, "readyz to tell the two apart")
	_, err := p.db.Pool.Exec(t.Context(), `update outbox_cursor set paused = true`)
	require.NoError(t, err)
	await(t, func() bool {
		_, body := get(t, base+"/readyz")
		return strings.Contains(body, `outbox-relay resume --database orders`)
	}, "readyz to say that the source is paused")
}
