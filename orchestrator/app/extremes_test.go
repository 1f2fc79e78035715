package app_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// A double holds whole numbers up to 2^53 exactly: whatever goes through one comes back as another
// id.
func TestSagas_IDsBeyondDoublesSurvive(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	for _, order := range []int64{1<<53 + 1, 1<<63 - 1} {
		id := strconv.FormatInt(order, 10)
		s.send(created(order))
		asked := s.command(order, "ReserveInventory", 1)
		for _, path := range []string{"/v1/sagas/" + id, "/v1/sagas/" + id + "/explain", "/v1/sagas?limit=1"} {
			status, body := s.do(http.MethodGet, path, "", token)
			require.Equal(t, http.StatusOK, status, body)
			require.Contains(t, body, `"`+id+`"`, path)
		}
		_, body := s.do(http.MethodGet, "/v1/sagas/"+id, "", token)
		require.Contains(t, body, `"orderId":`+id, "what the saga carries")
		s.send(reserved(order, asked))
		s.command(order, "ConfirmOrder", 1)
		require.Equal(t, 0, s.count(`select count(*) from outbox where convert_from(payload, 'UTF8') not like '%"orderId":' || key || ',%'`))
	}
}

// One row with an instant that JSON cannot show must not take the list from everybody, nor must the
// zero time of a program that forgot to set it.
func TestSagas_AreListedWithInstantsThatCannotBe(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	_, err := s.db.Pool.Exec(t.Context(), `
insert into sagas (id, definition, version, phase, state, step, revision, steps, data, started_at, updated_at, deadline, trouble) values
 ('901', 'order', 1, 'COMPENSATION_STUCK', 'COMPENSATION_STUCK', 'reserve', 1, '[]', '{"orderId":901}', 'infinity', '-infinity', 'infinity', 'stuck'),
 ('902', 'order', 1, 'COMPENSATION_STUCK', 'COMPENSATION_STUCK', 'reserve', 1, '[]', '{"orderId":902}', '0001-01-01 00:00:00+00', '0001-01-01 00:00:00+00', 'infinity', 'stuck'),
 ('903', 'order', 1, 'COMPENSATION_STUCK', 'COMPENSATION_STUCK', 'reserve', 1, '[]', '{"orderId":903}', '0044-03-15 BC', '294276-12-31', 'infinity', 'stuck')`)
	require.NoError(t, err)
	for _, query := range []string{"", "&stuck=true", "&olderThan=1s", "&state=COMPENSATION_STUCK"} {
		found := map[string]bool{}
		for path := "/v1/sagas?limit=1" + query; path != ""; {
			status, body := s.do(http.MethodGet, path, "", token)
			require.Equal(t, http.StatusOK, status, body)
			var page struct {
				Sagas []struct{ ID string }
				Next  string
			}
			require.NoError(t, json.Unmarshal([]byte(body), &page))
			for _, saga := range page.Sagas {
				require.False(t, found[saga.ID], "%s twice", saga.ID)
				found[saga.ID] = true
			}
			path = ""
			if page.Next != "" {
				path = "/v1/sagas?limit=1" + query + "&cursor=" + page.Next
			}
		}
		if query == "&olderThan=1s" {
			require.Equal(t, map[string]bool{"902": true, "903": true}, found)
			continue
		}
		require.Len(t, found, 3, query)
	}
	for _, path := range []string{"/v1/sagas/901", "/v1/sagas/902", "/v1/sagas/903", "/v1/sagas/901/explain", "/v1/stats", "/v1/sagas/903/explain"} {
		status, body := s.do(http.MethodGet, path, "", token)
		require.Equal(t, http.StatusOK, status, "%s: %s", path, body)
	}
}

// Instants past the first and the last that JSON can write are shown as those, and are different
// ones in the database: a page that ends between two of them must be followed by the second.
func TestSagas_AreAllOnAPageWhateverInstantsTheyBeganAt(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	// The ids run against the order of the instants, and some begin at one instant.
	began := []string{
		"infinity", "294276-12-31", "20000-01-02", "20000-01-01", "10000-01-01", "9999-12-31 23:59:59.999999Z", "2026-01-01 00:00:00.000001Z",
		"2026-01-01Z", "0001-01-01Z", "0001-12-31 BC", "0044-03-15 BC", "0045-03-15 BC", "-infinity",
	}
	var want []string
	for n, at := range began {
		id := strconv.Itoa(100 + n)
		for _, id := range []string{id + "\n\u202e", id} { // an id is any text, and the second one comes later
			_, err := s.db.Pool.Exec(t.Context(), `
insert into sagas (id, definition, version, phase, state, step, revision, steps, data, started_at, updated_at, deadline)
values ($1, 'order', 1, 'RUNNING', 'RUNNING', 'reserve', 1, '[]', '{}', $2::text::timestamptz, now(), 'infinity')`, id, at)
			require.NoError(t, err)
			want = append(want, id)
		}
	}
	for limit := 1; limit <= 3; limit++ {
		var found []string
		for path := "/v1/sagas?limit=" + strconv.Itoa(limit); path != ""; {
			status, body := s.do(http.MethodGet, path, "", token)
			require.Equal(t, http.StatusOK, status, body)
			var page struct {
				Sagas []struct{ ID string }
				Next  string
			}
			require.NoError(t, json.Unmarshal([]byte(body), &page))
			for _, saga := range page.Sagas {
				found = append(found, saga.ID)
			}
			path = ""
			if page.Next != "" {
				path = "/v1/sagas?limit=" + strconv.Itoa(limit) + "&cursor=" + page.Next
			}
		}
		require.Equal(t, want, found)
	}
}
