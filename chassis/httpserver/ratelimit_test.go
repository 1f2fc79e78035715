package httpserver_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/httpserver"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func refusal(t *testing.T, err error) (status int, header http.Header) {
	t.Helper()
	var answer huma.StatusError
	require.ErrorAs(t, err, &answer)
	var with huma.HeadersError
	require.ErrorAs(t, err, &with)
	return answer.GetStatus(), with.GetHeaders()
}

func TestRateLimiter_AKeyMaySpendItsBurstAndThenItsRate(t *testing.T) {
	t.Parallel()
	l := httpserver.NewRateLimiter("user", 0.5, 3)
	for left := 2; left >= 0; left-- {
		quota, err := l.Take("u1", noon)
		require.NoError(t, err)
		reset := 2 * (3 - left)
		require.Equal(t, httpserver.Quota{
			Policy: `"user";q=3;w=6`, Left: `"user";r=` + strconv.Itoa(left) + `;t=` + strconv.Itoa(reset),
			Limit: "3", Remaining: strconv.Itoa(left), Reset: strconv.Itoa(reset),
		}, quota)
	}
	_, err := l.Take("u1", noon.Add(500*time.Millisecond))
	status, header := refusal(t, err)
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, "2", header.Get("Retry-After"), "1.5 s, in whole seconds")
	require.Equal(t, `"user";q=3;w=6`, header.Get("RateLimit-Policy"))
	require.Equal(t, `"user";r=0;t=6`, header.Get("RateLimit"))
	require.Equal(t, "3 0 6", header.Get("RateLimit-Limit")+" "+header.Get("RateLimit-Remaining")+" "+header.Get("RateLimit-Reset"))

	_, err = l.Take("u2", noon)
	require.NoError(t, err, "another key has its own")
	_, err = l.Take("u1", noon.Add(2*time.Second))
	require.NoError(t, err, "after Retry-After there is one")
	_, err = l.Take("u1", noon.Add(2*time.Second))
	require.Error(t, err)
}

// A key is held to its rate however long it goes on, across the times at which buckets are
// forgotten.
func TestRateLimiter_ForgettingBucketsGivesNobodyMore(t *testing.T) {
	t.Parallel()
	l := httpserver.NewRateLimiter("user", 10, 5)
	allowed := 0
	for i := range 100 * 60 { // a hundred times per second, for a minute
		if _, err := l.Take("u1", noon.Add(time.Duration(i)*10*time.Millisecond)); err == nil {
			allowed++
		}
	}
	require.InDelta(t, 5+10*60, allowed, 1)
}

func TestRateLimiter_ManyKeysTakeBoundedMemoryAndAreNotRefused(t *testing.T) {
	t.Parallel()
	l := httpserver.NewRateLimiter("user", 1, 1)
	for i := range 300_000 {
		_, err := l.Take(strconv.Itoa(i), noon)
		require.NoError(t, err)
	}
	require.LessOrEqual(t, l.Buckets(), 100_000)
}
