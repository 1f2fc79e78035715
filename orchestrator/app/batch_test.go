package app_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/jobs"
	"waybill.example/contracts"
)

func (s *system) count(sql string, args ...any) (n int) {
	s.t.Helper()
	require.NoError(s.t, s.db.Pool.QueryRow(s.t.Context(), sql, args...).Scan(&n))
	return n
}

// waiting begins sagas that wait for the reply to their reservation.
func (s *system) waiting(n int) {
	s.t.Helper()
	orders := make([]contracts.Message, n)
	for i := range orders {
		orders[i] = created(int64(i + 1))
	}
	s.send(orders...)
	require.Eventually(s.t, func() bool {
		return s.count("select count(*) from sagas where step = 'reserve'") == n
	}, 5*time.Minute, 10*time.Millisecond, "all wait")
}

const retried = "select count(*) from saga_transitions where kind = 'intervened'"

// What is done to many sagas is counted first and changes nothing until it is said; then every saga
// has it once, through a restart in the middle; and what has moved on meanwhile is left alone.
func TestBatch_EverySagaOnceOrWithTheReasonWhyNot(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	const n = 120
	s.waiting(n)
	batch := []string{"--token", token, "batch", "retry", "--state", "RUNNING", "--step", "reserve", "--definition", "order@1", "--reason", "inventory was down"}

	out, err := s.runCLI(batch...)
	require.NoError(t, err)
	require.Contains(t, out, "retry would be done to 120 sagas.")
	require.Contains(t, out, "Nothing was done: say --yes")
	require.Zero(t, s.count(retried)+s.count("select count(*) from job"))

	for _, more := range [][]string{{"--yes"}, {"--yes", "--wait"}} {
		out, err = s.runCLI(append([]string{"--token", token, "batch", "retry", "--step", "revserve", "--reason", "typed in a hurry"}, more...)...)
		require.NoError(t, err)
		require.Equal(t, "The filter chooses no saga: nothing was done.\n", out)
	}
	require.Zero(t, s.count("select count(*) from job"))

	out, err = s.runCLI(append(batch, "--rate", "20", "--yes")...)
	require.NoError(t, err)
	require.Contains(t, out, "waybill jobs show orchestrator/1")
	s.eventually(func() bool { return s.count(retried) >= 10 }, "some are done")
	s.stop() // the replies of the last ones come while nobody works on the job
	moved, err := s.db.Pool.Exec(t.Context(), `
update sagas set state = 'COMPENSATION_STUCK' where id in (
  select id from sagas where id not in (select saga_id from saga_transitions where kind = 'intervened') limit 2)`)
	require.NoError(t, err)
	require.EqualValues(t, 2, moved.RowsAffected(), "the job was interrupted")
	s.start(withToken)

	var job jobs.Job
	s.eventually(func() bool { return s.get("/v1/jobs/1", &job) == http.StatusOK && job.State == jobs.Finished }, "the job finishes")
	require.Equal(t, []int{n, n - 2, 2, 0}, []int{job.Total, job.Done, job.NoEffect, job.Refused})
	require.Equal(t, n-2, s.count(retried))
	require.Equal(t, n-2, s.count("select count(distinct saga_id) from saga_transitions where kind = 'intervened'"))
	require.Equal(t, n-2, s.count("select count(*) from outbox where type = 'ReserveInventory'")-n, "each is sent again once")
	var results struct{ Items []jobs.JobItem }
	require.Equal(t, http.StatusOK, s.get("/v1/jobs/1/results?result=no_effect", &results))
	require.Len(t, results.Items, 2)
	require.Equal(t, "the filter does not choose it any more: it is COMPENSATION_STUCK and waits for reserve", *results.Items[0].Detail)
}

func TestBatch_IsRefusedBeforeItBegins(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	for body, fault := range map[string]string{
		`{"filter":{},"intervention":{"action":"retry"},"reason":"r"}`:                                        "at least one condition",
		`{"filter":{"state":"RUNNING"},"intervention":{"action":"force"},"reason":"r"}`:                       "body.intervention.end",
		`{"filter":{"state":"RUNNING"},"intervention":{"action":"explode"},"reason":"r"}`:                     "body.intervention.action",
		`{"filter":{"olderThan":"soon"},"intervention":{"action":"retry"},"reason":"r"}`:                      "olderThan must be a duration",
		`{"filter":{"state":"RUNNING"},"intervention":{"action":"retry"}}`:                                    "reason",
		`{"filter":{"state":"RUNNING"},"intervention":{"action":"retry","end":"CONFIRMED"},"reason":"r"}`:     "means nothing to retry",
		`{"filter":{"state":"RUNNING"},"intervention":{"action":"retry"},"reason":"r","rate":100000}`:         "rate",
		`{"filter":{"stat":"RUNNING","state":"RUNNING"},"intervention":{"action":"retry"},"reason":"a typo"}`: "unexpected property",
	} {
		status, answer := s.do(http.MethodPost, "/v1/saga-batches", body, token)
		require.Equal(t, http.StatusUnprocessableEntity, status, answer)
		require.Contains(t, answer, fault)
	}
	status, _ := s.do(http.MethodPost, "/v1/saga-batches?dryRun=true", `{"filter":{"state":"RUNNING"},"intervention":{"action":"retry"},"reason":"r"}`, "")
	require.Equal(t, http.StatusUnauthorized, status)
	require.Zero(t, s.count("select count(*) from job"))
}

// A database that does not answer for a moment ends nobody's wait: the job goes on meanwhile.
func TestBatch_TheWaitGoesOnWhereTheServiceIsBusy(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	s.waiting(3)
	there, err := url.Parse("http://" + s.addr)
	require.NoError(t, err)
	var asked atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(there)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/jobs/") && asked.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	s.addr = front.Listener.Addr().String()
	out, err := s.runCLI("--token", token, "batch", "retry", "--step", "reserve", "--reason", "inventory was down", "--yes", "--wait")
	require.NoError(t, err, out)
	require.Equal(t, 3, s.count(retried))
}

// 10,000 stuck sagas are retried with one command.
func TestBatch_TenThousandSagas(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	s := startSystem(t, withToken)
	const n = 10_000
	s.waiting(n)
	began := time.Now()
	out, err := s.runCLI("--token", token, "--json", "batch", "retry", "--step", "reserve", "--reason", "inventory was down", "--rate", "1000", "--yes", "--wait")
	require.NoError(t, err, out)
	var job jobs.Job
	require.NoError(t, json.Unmarshal([]byte(out), &job))
	require.Equal(t, n, job.Done, out)
	require.Equal(t, n, s.count("select count(distinct saga_id) from saga_transitions where kind = 'intervened'"))
	t.Logf("10,000 sagas in %s, %s per second", time.Since(began), strconv.Itoa(int(n/time.Since(began).Seconds())))
}
