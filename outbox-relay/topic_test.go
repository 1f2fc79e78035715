package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A topic for which rows are stuck is created like the one that other rows went to, after a look at
// what it would be, and the rows go out. Nothing else can be created.
func TestHTTP_AMissingTopicIsCreatedLikeTheOthers(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	_, err := p.db.Pool.Exec(t.Context(), `insert into outbox (topic, key, type, payload) values
		('orders.v1', '1', 'T', '{}'), ('missing.v1', '17', 'T', '{}'), ('missing.v1', '18', 'T', '{}')`)
	require.NoError(t, err)
	base := p.serve(t, "RELAY_ADMIN_TOKENS=ada="+ada+",olga:operator=operator-battery-staple,vic:viewer=viewer-battery-staple-x") + "/v1/outbox/orders"
	await(t, func() bool {
		_, body := get(t, base+"/stuck/groups")
		return strings.Contains(body, "UNKNOWN_TOPIC")
	}, "the topic to be missed")
	p.broker.Consume(t, topic, 1)
	await(t, func() bool {
		_, body := get(t, base+"/pending")
		return strings.Contains(body, `"items":[]`)
	}, "the other row to be published")
	type created struct {
		Topic, Like                 string
		Partitions, Replicas        int
		Config                      map[string]string
		Rows, ParkedBehind, Waiting int64
		Created                     bool
	}
	create := func(topic, token, body string, status int) (c created) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/topics/"+topic+"/create", strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		require.NoError(t, json.NewDecoder(response.Body).Decode(&c))
		require.Equal(t, status, response.StatusCode, "%+v", c)
		return c
	}
	const operator = "operator-battery-staple"
	create("missing.v1", "viewer-battery-staple-x", `{"dryRun":true}`, http.StatusForbidden)
	create("other.v1", operator, `{"reason":"nothing waits for it"}`, http.StatusConflict)
	create("orders.v1", operator, `{"reason":"it exists"}`, http.StatusConflict)
	create("missing.v1", operator, `{"like":"no-such-topic","dryRun":true}`, http.StatusNotFound)

	plan := create("missing.v1", operator, `{"dryRun":true}`, http.StatusOK)
	require.Equal(t, "orders.v1", plan.Like)
	require.Equal(t, 3, plan.Partitions)
	require.Equal(t, int64(2), plan.Rows+plan.ParkedBehind)
	require.False(t, plan.Created)
	_, body := get(t, base+"/stuck/groups")
	require.Contains(t, body, "UNKNOWN_TOPIC", "a dry run creates nothing")

	did := create("missing.v1", operator, `{"reason":"it was forgotten","like":"orders.v1","partitions":4}`, http.StatusOK)
	require.True(t, did.Created)
	require.Equal(t, 4, did.Partitions)
	p.broker.Consume(t, "missing.v1", 2)
	await(t, func() bool {
		_, body := get(t, base+"/stuck/groups")
		return !strings.Contains(body, "missing.v1")
	}, "nothing to be stuck any more")
	_, body = get(t, base+"/audit-log")
	require.Contains(t, body, `"outbox.create-topic"`)
	require.Contains(t, body, `"topic/missing.v1"`)
	require.Contains(t, body, `"olga"`)
	require.Contains(t, body, `"it was forgotten"`)
	require.Equal(t, 1, strings.Count(body, `"action"`), "what was refused, or only looked at, is no change")
}

func TestCLI_AMissingTopicIsCreated(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	_, err := p.db.Pool.Exec(t.Context(), `insert into outbox (topic, key, type, payload) values ('orders.v1', '1', 'T', '{}'), ('missing.v1', '17', 'T', '{}')`)
	require.NoError(t, err)
	p.awaitLeader(t, p.start(t, p.db.URL))
	verb := func(args ...string) (string, error) {
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), asRelay+"=1", "RELAY_DATABASES=orders="+p.db.URL, "KAFKA_BROKERS="+p.broker.Addr())
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	await(t, func() bool {
		out, err := verb("topic", "create", "missing.v1")
		return err == nil && strings.Contains(out, "missing.v1 would have 3 partitions and 1 replicas, as orders.v1 has")
	}, "the topic to be missed, and what it would be like")
	out, err := verb("topic", "create", "missing.v1", "--yes", "--reason", "it was forgotten", "--actor", "ada")
	require.NoError(t, err, out)
	require.Contains(t, out, "was created, and has 3 partitions")
	require.Contains(t, out, "of 1 stuck rows 1 are published")
	out, err = verb("topic", "create", "missing.v1", "--yes")
	require.Error(t, err)
	require.Contains(t, out, "no row of database orders is stuck because topic missing.v1 does not exist")
}
