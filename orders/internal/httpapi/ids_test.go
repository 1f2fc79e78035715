package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A double holds whole numbers up to 2^53 exactly: whatever goes through one comes back as another
// id.
func TestAPI_IDsBeyondDoublesSurvive(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, id := range []string{"9007199254740993", "9223372036854775806"} {
		_, err := f.Pool.Exec(t.Context(), "select setval('orders_id_seq', $1::text::bigint, false)", id)
		require.NoError(t, err)
		w := f.postWithKey("k"+id, "/v1/orders", burger)
		require.Equal(t, http.StatusAccepted, w.Code, w.Body)
		require.Equal(t, `{"id":`+id+`}`, strings.TrimSpace(w.Body.String()))
		require.Equal(t, "/v1/orders/"+id, w.Header().Get("Location"))
		require.Equal(t, w.Body.String(), f.postWithKey("k"+id, "/v1/orders", burger).Body.String(), "the key keeps it")
		require.Contains(t, f.get("/v1/orders/"+id).Body.String(), `{"id":`+id+`,`)
		require.Contains(t, f.get("/v1/orders?limit=1").Body.String(), `{"id":`+id+`,`)
		require.Equal(t, http.StatusAccepted, f.post("/v1/orders/"+id+"/cancel", `{}`).Code)
		require.Equal(t, 2, f.count(t, `select count(*) from outbox where key = '`+id+`' and convert_from(payload, 'UTF8') like '%"orderId":`+id+`,%'`))
	}
	link := f.get("/v1/orders?limit=1").Header().Get("Link")
	next := strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	require.Contains(t, f.get(next).Body.String(), `{"id":9007199254740993,`)
}
