package app_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

// A dry run changes nothing; the job keeps to its rate, and what it has not come to when it is
// cancelled stays as it is.
func TestOrders_ManyDeadLettersAreDiscardedByAJobThatIsAskedFirstAndCancelled(t *testing.T) {
	t.Parallel()
	db, broker := pgtest.New(t, migrations.Outbox, migrations.Orders), kafkatest.Start(t, contracts.Topics()...)
	s := startForOperators(t, db, broker.Addr())
	for id := range int64(3) {
		broker.Produce(t, command(t, contracts.ConfirmOrder{Envelope: contracts.NewEnvelope(id+1, uuid.New(), time.Now())}))
	}
	count := func(state string) (n int) {
		require.NoError(t, db.Pool.QueryRow(t.Context(), `select count(*) from dead_letters where state = $1`, state).Scan(&n))
		return n
	}
	eventually(t, "three are dead", func() bool { return count("dead") == 3 })
	status, body := s.do(t, http.MethodPost, "/v1/dead-letters/discard", `{"reason":"a test","dryRun":true}`, "")
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"count":3,"waiting":0`)
	require.NotContains(t, body, `"job"`)
	require.Equal(t, 3, count("dead"))

	status, body = s.do(t, http.MethodPost, "/v1/dead-letters/discard", `{"reason":"a test","rate":0.01}`, "")
	require.Equal(t, http.StatusAccepted, status, body)
	var answer struct {
		Job struct{ Rate float64 }
	}
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	require.InDelta(t, 0.01, answer.Job.Rate, 0)
	eventually(t, "one is discarded", func() bool { return count("discarded") == 1 })
	status, body = s.do(t, http.MethodPost, "/v1/jobs/1/cancel", `{"reason":"no"}`, "")
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"state":"cancelled"`)
	require.Equal(t, 2, count("dead"))
}
