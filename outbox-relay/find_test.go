package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// To follow a message is to ask the relay, not the tables of other services: what became of the
// messages of a key, who has handled them, and how the relay of each database is doing. A database
// that does not answer is named.
func TestFind_FollowsTheMessagesOfAKeyThroughEveryDatabase(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	sent := uuid.NewString()
	_, err := p.db.Pool.Exec(t.Context(), `insert into outbox (event_id, topic, key, type, payload, headers)
		values ($1, 'orders.v1', '17', 'OrderCreated', 'secret', '{"ce_causationid": "x"}')`, sent)
	require.NoError(t, err)
	_, err = p.db.Pool.Exec(t.Context(), `insert into outbox (topic, key, type, payload) values
		('missing.v1', '17', 'T', ''), ('missing.v1', '17', 'T', ''), ('orders.v1', '18', 'T', '')`)
	require.NoError(t, err)
	_, err = p.db.Pool.Exec(t.Context(), `insert into inbox (event_id, consumer, topic, "partition", "offset") values
		($1, 'orchestrator', 'orders.v1', 2, 41), (gen_random_uuid(), 'orchestrator', 'orders.v1', 2, 42)`, sent)
	require.NoError(t, err)
	base := p.serve(t, "RELAY_DATABASES=orders="+p.db.URL+",broken=postgres://127.0.0.1:1/nowhere")

	var messages struct {
		Databases []struct {
			Database, Leader string
			Messages         []struct {
				ID                           int64
				EventID, Type, Status, Error string
				Headers                      map[string]string
			}
		}
		Unreachable []string
	}
	await(t, func() bool {
		status, body := get(t, base+"/v1/messages?key=17")
		require.Equal(t, http.StatusOK, status, body)
		require.NotContains(t, body, "secret", "payloads are not in the answer")
		require.NoError(t, json.Unmarshal([]byte(body), &messages))
		return strings.Contains(body, `"parked"`) && strings.Contains(body, `"published"`)
	}, "the rows of the key to be seen to")
	require.Equal(t, []string{"broken"}, messages.Unreachable)
	require.Len(t, messages.Databases, 1)
	orders := messages.Databases[0]
	require.Equal(t, "orders", orders.Database)
	require.NotEmpty(t, orders.Leader)
	require.Len(t, orders.Messages, 3, "and none of another key")
	require.Equal(t, sent, orders.Messages[0].EventID, "the oldest first")
	require.Equal(t, "published", orders.Messages[0].Status)
	require.Equal(t, map[string]string{"ce_causationid": "x"}, orders.Messages[0].Headers)
	require.Contains(t, []string{orders.Messages[1].Status, orders.Messages[2].Status}, "stuck")

	var carried struct {
		Databases []struct {
			Messages []struct {
				Payload      []byte
				PayloadBytes int
			}
		}
	}
	_, with := get(t, base+"/v1/messages?key=17&payload=true")
	require.NoError(t, json.Unmarshal([]byte(with), &carried))
	require.Equal(t, "secret", string(carried.Databases[0].Messages[0].Payload))
	require.Equal(t, 6, carried.Databases[0].Messages[0].PayloadBytes)

	var deliveries struct {
		Databases []struct {
			Deliveries []struct {
				EventID, Consumer string
				Offset            int64
			}
		}
		Unreachable []string
	}
	status, body := get(t, base+"/v1/deliveries?eventId="+sent+"&eventId="+uuid.NewString())
	require.Equal(t, http.StatusOK, status, body)
	require.NoError(t, json.Unmarshal([]byte(body), &deliveries))
	require.Equal(t, []string{"broken"}, deliveries.Unreachable)
	require.Len(t, deliveries.Databases[0].Deliveries, 1)
	require.Equal(t, "orchestrator", deliveries.Databases[0].Deliveries[0].Consumer)
	require.EqualValues(t, 41, deliveries.Databases[0].Deliveries[0].Offset)

	for path, want := range map[string]int{"/v1/messages": 422, "/v1/messages?key=": 422, "/v1/deliveries": 422, "/v1/deliveries?eventId=x": 422} {
		status, body := get(t, base+path)
		require.Equal(t, want, status, "%s: %s", path, body)
	}
}

// The state of each source is data: nobody has to cut it out of the words of /readyz.
func TestSources_SayHowEachIsDoing(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	base := p.serve(t, "RELAY_DATABASES=orders="+p.db.URL+",broken=postgres://127.0.0.1:1/nowhere")
	var list struct {
		Sources []struct{ Database, State, Problem, BrokerProblem string }
	}
	look := func() {
		status, body := get(t, base+"/v1/sources")
		require.Equal(t, http.StatusOK, status, body)
		list.Sources = nil
		require.NoError(t, json.Unmarshal([]byte(body), &list))
		require.Len(t, list.Sources, 2)
	}
	await(t, func() bool {
		look()
		return list.Sources[0].State == "leading" && list.Sources[1].Problem != "connecting"
	}, "the source to lead")
	require.Empty(t, list.Sources[0].Problem+list.Sources[0].BrokerProblem)
	require.Equal(t, "connecting", list.Sources[1].State)
	require.Contains(t, list.Sources[1].Problem, "does not answer")
	p.broker.Stop()
	await(t, func() bool { look(); return strings.Contains(list.Sources[0].BrokerProblem, "no broker answers since") }, "the broker to be missed")
	require.Empty(t, list.Sources[0].Problem)
}

// What no index has, an event that nobody has handled or a trace, is looked for among the newest
// rows, which are read by the primary key.
func TestFind_LooksThroughTheNewestRowsForEventsAndTraces(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	event, trace := uuid.NewString(), "0af7651916cd43dd8448eb211c80319c"
	_, err := p.db.Pool.Exec(t.Context(), `insert into outbox (topic, key, type, payload) select 'orders.v1', n::text, 'T', '' from generate_series(1, 30000) n`)
	require.NoError(t, err)
	_, err = p.db.Pool.Exec(t.Context(), `insert into outbox (event_id, topic, key, type, payload, headers)
		values ($1, 'orders.v1', '17', 'OrderCreated', 'secret', $2)`, event, `{"traceparent": "00-`+trace+`-b7ad6b7169203331-01"}`)
	require.NoError(t, err)
	base := p.serve(t, "RELAY_DATABASES=orders="+p.db.URL)
	for _, query := range []string{"eventId=" + event, "traceId=" + trace} {
		status, body := get(t, base+"/v1/recent-messages?"+query)
		require.Equal(t, http.StatusOK, status, body)
		var found struct {
			Databases []struct {
				Rows     int
				Messages []struct{ EventID, Key string }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(body), &found))
		require.Equal(t, 20_000, found.Databases[0].Rows)
		require.Len(t, found.Databases[0].Messages, 1, body)
		require.Equal(t, event, found.Databases[0].Messages[0].EventID)
		require.NotContains(t, body, "secret")
	}
	for query, want := range map[string]int{"": 422, "eventId=x": 422, "traceId=%25": 422, "eventId=" + event + "&traceId=" + trace: 422, "eventId=" + uuid.NewString(): 200} {
		status, body := get(t, base+"/v1/recent-messages?"+query)
		require.Equal(t, want, status, "%s: %s", query, body)
	}
	var plan []byte
	require.NoError(t, pgx.BeginFunc(t.Context(), p.db.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "set local enable_sort = off"); err != nil {
			return err
		}
		return tx.QueryRow(t.Context(), "explain (format json) select id, event_id, headers from public.outbox order by id desc limit 20000").Scan(&plan)
	}))
	require.Contains(t, string(plan), "outbox_pkey")
}
