package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/payload"
)

var _ inbox.Handler = (*inbox.Processor[string, struct{}])(nil)

// One message that can never be applied costs itself and nothing else: those before and behind it
// take effect, in their order, and it is a dead letter.
func TestProcessWithRetry_SetsAsideTheMessageAtFault(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.Parking = nil
	p.breaks["b"] = errors.New("nobody can do b")
	require.NoError(t, inbox.ProcessWithRetry(t.Context(), p, []inbox.Delivery{
		keyed(0, "k", "a"), keyed(1, "k", "b"), keyed(2, "k", "c"),
	}, nil))
	require.Equal(t, []string{"a", "c"}, p.applied(t))
	require.Equal(t, []string{"b dead"}, p.all(t))
}

// handler answers calls of Process in turn; after the last, with nil.
type handler struct {
	answers  []error
	began    time.Time
	attempts []time.Duration
	rejected []int64
	reject   []error
}

func (h *handler) Process(context.Context, []inbox.Delivery) error {
	h.attempts = append(h.attempts, time.Since(h.began))
	return next(&h.answers)
}

func (h *handler) Reject(_ context.Context, d inbox.Delivery, _ error) error {
	h.rejected = append(h.rejected, d.Offset)
	return next(&h.reject)
}

func next(errs *[]error) (err error) {
	if len(*errs) > 0 {
		err, *errs = (*errs)[0], (*errs)[1:]
	}
	return err
}

// What says nothing about a message is waited out, however often it comes.
func TestProcessWithRetry_WaitsOutWhatIsNoMessagesFault(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"a lost connection":         fmt.Errorf("process: %w", io.ErrUnexpectedEOF),
		"a pool that is closed":     errors.New("connect to the database: closed pool"),
		"a missing grant":           &pgconn.PgError{Code: "42501"},
		"a serialization failure":   &pgconn.PgError{Code: "40001"},
		"a statement that took too": context.DeadlineExceeded,
		"a key service":             fmt.Errorf("decode: %w", payload.ErrUnavailable),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := &handler{began: time.Now()}
				for range 9 {
					h.answers = append(h.answers, err)
				}
				require.NoError(t, inbox.ProcessWithRetry(t.Context(), h, []inbox.Delivery{keyed(0, "k", "a"), keyed(1, "k", "b")}, nil))
				ms := time.Millisecond
				require.Equal(t, []time.Duration{0, 50 * ms, 150 * ms, 350 * ms, 750 * ms, 1550 * ms, 3150 * ms, 6150 * ms, 9150 * ms, 12150 * ms}, h.attempts)
				require.Empty(t, h.rejected)
			})
		})
	}
}

// A message is set aside at its third failure alone; an outage between them does not count, and one
// at the dead letter is waited out.
func TestProcessWithRetry_CountsOnlyWhatIsTheMessagesFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		own, outage := &pgconn.PgError{Code: "23514"}, io.ErrUnexpectedEOF
		h := &handler{answers: []error{own, own, outage, own, outage, own}, reject: []error{outage, own}}
		require.NoError(t, inbox.ProcessWithRetry(t.Context(), h, []inbox.Delivery{keyed(7, "k", "a")}, nil))
		require.Len(t, h.attempts, 6)
		require.Equal(t, []int64{7, 7, 7}, h.rejected)
	})
}

func TestProcessWithRetry_ReturnsWhenTheDatabaseWentBackOrTheContextEnds(t *testing.T) {
	t.Parallel()
	rewound := &pgconn.PgError{Code: "WB001"}
	err := inbox.ProcessWithRetry(t.Context(), &handler{answers: []error{rewound}}, []inbox.Delivery{keyed(0, "k", "a")}, nil)
	require.True(t, inbox.Rewound(err), err)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := &handler{answers: []error{errors.New("whatever")}}
	require.Error(t, inbox.ProcessWithRetry(ctx, h, []inbox.Delivery{keyed(0, "k", "a")}, nil))
	require.Len(t, h.attempts, 1)
	require.Empty(t, h.rejected)
}
