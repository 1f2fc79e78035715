package inbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill.example/sdk/payload"
)

const (
	// attemptsAlone is how often a message may fail alone, by its own fault, before it is set
	// aside.
	attemptsAlone = 3
	// The pause between attempts: it doubles from the first to the longest.
	firstPause, longestPause = 50 * time.Millisecond, 3 * time.Second
)

// Handler applies messages and sets them aside. A [Processor] is one, and so are a participant and
// a runner of sagas.
type Handler interface {
	Process(ctx context.Context, batch []Delivery) error
	Reject(ctx context.Context, d Delivery, reason error) error
}

// ProcessWithRetry has a handler process a batch until all of it is durable, applied or set aside,
// and then returns nil: its offsets may be committed. It is the part of a consumer between its
// Kafka client and its handler.
//
// An error that can be a message's own fault has the messages processed one by one, in their order,
// each in a transaction of its own; a message that fails so three times becomes a dead letter, by
// Reject. Such errors are those of the SQLSTATE classes 22, 23 and 54 (data, integrity constraint,
// program limit), and whatever the handler's functions return that is neither the database's nor
// the network's. Any other error is waited out, however long that takes, with pauses of 50 ms to 3
// s. Each failed attempt is logged as a warning; log may be nil.
//
// An error is returned where ctx has ended, and where the database went back ([Rewound]): part of
// the batch may be durable then, and all of it can be delivered again. Panics are not recovered. It
// is safe for concurrent use if the handler is; messages of one partition need one caller.
func ProcessWithRetry(ctx context.Context, h Handler, batch []Delivery, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := retrier{handler: h, log: log}
	err := r.outlast(ctx, ownFault, func() error { return h.Process(ctx, batch) })
	if err == nil || ctx.Err() != nil || Rewound(err) {
		return err //nolint:wrapcheck // the handler says what it was doing
	}
	for _, d := range batch {
		if err := r.alone(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// retrier tries again.
type retrier struct {
	handler Handler
	log     *slog.Logger
}

// alone has one message applied, or set aside.
func (r retrier) alone(ctx context.Context, d Delivery) error {
	failures := 0
	err := r.outlast(ctx, func(err error) bool {
		if ownFault(err) {
			failures++
		}
		return failures == attemptsAlone
	}, func() error { return r.handler.Process(ctx, []Delivery{d}) })
	if err == nil || ctx.Err() != nil || Rewound(err) {
		return err
	}
	never := func(error) bool { return false }
	return r.outlast(ctx, never, func() error { return r.handler.Reject(ctx, d, err) })
}

// outlast tries until it succeeds, an error is one to give up at, ctx has ended, or the database
// went back.
func (r retrier) outlast(ctx context.Context, giveUp func(error) bool, try func() error) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			r.log.WarnContext(ctx, "batch not processed", "error", err)
		}
		if ctx.Err() != nil || Rewound(err) || giveUp(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

// ownFault says whether an error can be the fault of the message that was being worked on. Neither
// what the database says of itself nor a connection that is lost is.
func ownFault(err error) bool {
	if _, ofDatabase := errors.AsType[*pgconn.PgError](err); ofDatabase {
		return refused(err)
	}
	return !errors.Is(err, payload.ErrUnavailable) && !lostConnection(err)
}

// lostConnection recognises what pgx and the network say where there is no session, or none any
// more.
func lostConnection(err error) bool {
	_, isConnect := errors.AsType[*pgconn.ConnectError](err)
	_, isNet := errors.AsType[net.Error](err)
	if isConnect || isNet || pgconn.Timeout(err) || pgconn.SafeToRetry(err) {
		return true
	}
	for _, lost := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, pgx.ErrTxClosed, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, lost) {
			return true
		}
	}
	for _, text := range []string{"conn closed", "conn busy", "closed pool"} { // pgx exports no errors for these
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}
