package app_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// storedSagas is how many sagas the console is tried with. With 1,000,000 it takes two minutes.
func storedSagas(t *testing.T) int {
	t.Helper()
	if text := os.Getenv("CONSOLE_TEST_SAGAS"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		return n
	}
	return 50_000
}

// multiply copies the saga of order 1, which has ended, so often that n are stored, which began in
// the last two hours.
func (s *system) multiply(n int) {
	s.t.Helper()
	rows, err := s.db.Pool.Query(s.t.Context(), "select attname::text from pg_attribute where attrelid = 'sagas'::regclass and attnum > 0 and not attisdropped order by attnum")
	require.NoError(s.t, err)
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(s.t, err)
	values := slices.Clone(columns)
	for i, c := range columns {
		switch c {
		case "id":
			values[i] = "'copy-' || n"
		case "started_at", "updated_at", "ended_at":
			values[i] = fmt.Sprintf("now() - n * interval '2 hours' / %d + (%s - started_at)", n, c)
		}
	}
	_, err = s.db.Pool.Exec(s.t.Context(), fmt.Sprintf("insert into sagas (%s) select %s from sagas, generate_series(1, %d) n where id = '1'",
		strings.Join(columns, ", "), strings.Join(values, ", "), n))
	require.NoError(s.t, err)
	_, err = s.db.Pool.Exec(s.t.Context(), "vacuum analyze sagas")
	require.NoError(s.t, err)
}

// page loads a page of the console, and says how long it took.
func (s *system) page(path string) time.Duration {
	s.t.Helper()
	began := time.Now()
	status, body := s.browse(s.t.Context(), path)
	require.Equal(s.t, http.StatusOK, status, body)
	require.Contains(s.t, body, "</html>")
	return time.Since(began)
}

func (s *system) browse(ctx context.Context, path string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+path, nil)
	require.NoError(s.t, err)
	r.Header.Set("Accept", "text/html")
	answer, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(s.t, err)
	return answer.StatusCode, string(body)
}

// However many sagas are stored, the first page reads the open ones and the last minute, and no
// query of it reads the whole table. How long it takes is logged: at 1,000,000 it is in
// docs/console.md.
func TestConsole_TheFirstPageReadsLittleHoweverManySagasThereAre(t *testing.T) {
	t.Parallel()
	s := startSystem(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	wait := s.participants(ctx)
	s.send(created(1))
	s.eventually(func() bool {
		var ended bool
		err := s.db.Pool.QueryRow(t.Context(), "select deadline is null from sagas where id = '1'").Scan(&ended)
		return err == nil && ended
	}, "the saga ends")
	cancel()
	wait()
	n := storedSagas(t)
	s.multiply(n)

	scanned := func() (rows int64) {
		_, err := s.db.Pool.Exec(t.Context(), "select pg_stat_clear_snapshot()")
		require.NoError(t, err)
		require.NoError(t, s.db.Pool.QueryRow(t.Context(), "select seq_tup_read from pg_stat_user_tables where relname = 'sagas'").Scan(&rows))
		return rows
	}
	before := scanned()
	t.Logf("%d sagas: first page %s", n, s.page("/"))
	for range 3 {
		status, body := s.browse(t.Context(), "/overview/series")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, body, `"buckets"`)
	}
	var took []time.Duration
	for range 10 {
		<-time.After(time.Second) // what was read a second ago is passed on: this measures the queries
		took = append(took, s.page("/"))
	}
	slices.Sort(took)
	t.Logf("%d sagas: median %s, longest %s", n, took[5], took[9])
	// Postgres counts what was read when the session that read it is idle, a second later at most.
	<-time.After(1500 * time.Millisecond)
	require.Less(t, scanned()-before, int64(n), "no query of the page reads the whole table")
}

// Fifty pages that are kept up to date cost the database what one costs.
func TestConsole_FiftyOpenPagesCostWhatOneCosts(t *testing.T) {
	t.Parallel()
	s := startSystem(t, func(c *settings) { c.HTTP.MaxWaiting = 100 })
	queries := func(pages int) (n float64, in time.Duration) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var reading sync.WaitGroup
		defer reading.Wait()
		defer cancel()
		for range pages {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/", nil)
			require.NoError(t, err)
			r.Header.Set("Accept", "text/event-stream")
			answer, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, answer.StatusCode)
			reading.Go(func() {
				defer answer.Body.Close()
				_, _ = io.Copy(io.Discard, answer.Body) // until the test ends it
			})
		}
		count := func() (n float64) {
			status, body := s.browse(t.Context(), "/metrics")
			require.Equal(t, http.StatusOK, status)
			for line := range strings.Lines(body) {
				if value, ok := strings.CutPrefix(line, `http_request_duration_seconds_count{method="GET",route="/v1/stats",status="200"} `); ok {
					parsed, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
					require.NoError(t, err)
					n = parsed
				}
			}
			return n
		}
		before, began := count(), time.Now()
		<-time.After(6 * time.Second) // three looks; what is counted is what does not happen
		return count() - before, time.Since(began)
	}
	one, _ := queries(1)
	require.Positive(t, one)
	fifty, in := queries(50)
	require.LessOrEqual(t, fifty, max(one, in.Seconds()/2)+2, "fifty pages share their looks")
	none, _ := queries(0)
	require.LessOrEqual(t, none, 1.0, "nobody looks, and nothing is read")
}
