package inbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/payload"
)

const (
	// How often Run looks for queues to work off: less and less while there are none. Who redrives
	// or discards a message calls RunQueue; Run finds what was left over.
	redriveEvery   = time.Second
	redriveIdle    = 5 * time.Second
	redriveQueues  = 100 // at a time
	redriveTimeout = 30 * time.Second
	// postponed is how long a queue waits after an error that is not its message's fault.
	postponed = time.Second
)

// Redriver works off the queues of a consumer's dead letters (package deadletter): messages that an
// operator has redriven, and then those that have waited behind them, in their order, each in a
// transaction of its own, by the same code that applies what Kafka delivers. It stops at a message
// that fails again, which is dead again.
//
// Every process of a consumer runs one; they take turns. It is safe for concurrent use.
type Redriver struct {
	consumer  string
	db        *pgxpool.Pool
	log       *slog.Logger
	permanent func(error) bool
	decode    func(context.Context, Delivery) (uuid.UUID, Delivery, error)
	payloads  payload.Codec
	head      func(ctx context.Context, queue uuid.UUID) (step, error)
	fail      func(ctx context.Context, queue uuid.UUID, id int64, reason error) error
}

// step is what became of the first message of a queue.
type step struct {
	letter  *deadletter.Letter // nil: the queue is empty
	applied bool               // go on with the next; otherwise it is dead
}

// Redriver returns what works off the queues of this consumer's dead letters. permanent says
// whether an error is the message's own fault, so that it is dead again; any other is waited out.
// nil stands for what counts against a message in [ProcessWithRetry].
func (p *Processor[M, S]) Redriver(permanent func(error) bool) *Redriver {
	r := &Redriver{consumer: p.Consumer, db: p.DB, log: p.Log, permanent: permanent, head: p.redriveHead, fail: p.failHead}
	r.payloads = p.Payloads
	r.decode = func(ctx context.Context, d Delivery) (uuid.UUID, Delivery, error) {
		plain, err := DecodePayload(ctx, p.Payloads, d)
		if err != nil {
			return uuid.Nil, d, err
		}
		id, _, err := p.Decode(plain)
		return id, plain, err
	}
	if r.permanent == nil {
		r.permanent = ownFault
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	return r
}

// Consumer is the name of the consumer whose queues it works off.
func (r *Redriver) Consumer() string { return r.consumer }

// Decode returns the id of a message as the consumer reads it, and the message with its payload
// decoded, or why it cannot be read: it is what a message has to pass that an operator has edited.
func (r *Redriver) Decode(ctx context.Context, d Delivery) (uuid.UUID, Delivery, error) {
	return r.decode(ctx, d)
}

// Payloads is the codec of the consumer's payloads; nil: it has none.
func (r *Redriver) Payloads() payload.Codec { return r.payloads }

// Run works off the queues that are due, until ctx ends.
func (r *Redriver) Run(ctx context.Context) error {
	lookForQueues(ctx, func() bool {
		found, err := r.runDue(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "parked messages not applied", "consumer", r.consumer, "error", err)
		}
		return found || err != nil
	})
	return nil
}

// lookForQueues looks until ctx ends, soon again after something was found.
func lookForQueues(ctx context.Context, look func() (found bool)) {
	pause := redriveEvery
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if pause = min(2*pause, redriveIdle); look() {
			pause = redriveEvery
		}
		timer.Reset(pause)
	}
}

// runDue works off the queues that are due, and says whether there were any.
func (r *Redriver) runDue(ctx context.Context) (bool, error) {
	queues, err := deadletter.Due(ctx, r.db, r.consumer, redriveQueues)
	if err != nil {
		return false, err
	}
	var errs []error
	for _, queue := range queues {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, r.RunQueue(ctx, queue))
	}
	return len(queues) > 0, errors.Join(errs...)
}

// RunQueue applies the messages of one queue, in their order, until the queue is empty or its first
// message is dead. An error is one that is not the message's fault: nothing of that message has
// happened, and Run tries again.
func (r *Redriver) RunQueue(ctx context.Context, queue uuid.UUID) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		next, err := r.attempt(ctx, queue)
		if err == nil && next.applied {
			continue
		}
		if err == nil {
			return nil
		}
		if next.letter == nil || !r.permanent(err) {
			err = fmt.Errorf("apply parked messages of %s: %w", r.consumer, err)
			return errors.Join(err, deadletter.Postpone(context.WithoutCancel(ctx), r.db, r.consumer, queue, postponed))
		}
		if err := r.fail(ctx, queue, next.letter.ID, err); err != nil {
			return err
		}
	}
}

// attempt tries the first message, for a bounded time.
func (r *Redriver) attempt(ctx context.Context, queue uuid.UUID) (next step, err error) {
	ctx, cancel := context.WithTimeout(ctx, redriveTimeout)
	defer cancel()
	return r.head(ctx, queue)
}

// redriveHead applies the first message of a queue, if it is parked, in one transaction.
func (p *Processor[M, S]) redriveHead(ctx context.Context, queue uuid.UUID) (next step, err error) {
	conn, err := p.DB.Acquire(ctx)
	if err != nil {
		return step{}, fmt.Errorf("connect to the database: %w", err)
	}
	defer conn.Release()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return step{}, fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback(ctx) }() // no effect after the commit
	letter, err := deadletter.Head(ctx, tx, p.Consumer, queue)
	if err != nil {
		return step{}, err
	}
	next.letter = letter
	a := &attempt[M, S]{Processor: p, redriven: letter, letter: wholeLetter}
	if letter != nil && letter.State == deadletter.Parked {
		if next.applied, err = a.redrive(ctx, &Tx{Tx: tx}); err != nil {
			return next, err
		}
	} else {
		own := &Tx{Tx: tx}
		deadletter.Settle(&own.Last, p.Consumer, queue)
		if err := own.commit(ctx); err != nil {
			return next, err
		}
	}
	a.afterRedrive(ctx)
	return next, nil
}

// redrive applies the message, or has it dead again. A panic is the message's fault.
func (a *attempt[M, S]) redrive(ctx context.Context, tx *Tx) (applied bool, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("the handler panicked: %v", value)
		}
	}()
	d := toDelivery(a.redriven.Message)
	result, reason := "", error(nil)
	if !a.redriven.Whole {
		reason = errors.New("it was cut when it was set aside; edit it, or discard it")
	} else if result, reason, err = a.judge(ctx, tx, d); err != nil {
		return false, err
	}
	if reason == nil {
		a.redriven.Close(&tx.Last, result)
	} else {
		a.failed(d, reason)
		a.redriven.Fail(&tx.Last, reason)
	}
	if err := outbox.Queue(&tx.Last, a.out...); err != nil {
		return false, err
	}
	if err := tx.commit(ctx); err != nil {
		return false, err
	}
	a.committed = tx.committed
	return reason == nil, nil
}

// failed has others see a message that fails for the first time: it had only waited until now.
func (a *attempt[M, S]) failed(d Delivery, reason error) {
	if a.redriven.Failures == 0 {
		a.out = append(a.out, DeadLetter(d, a.Consumer, reason))
		a.outcome.DeadLettered++
	}
	a.deadLetters = append(a.deadLetters, decoded[M]{Received: Received[M]{Delivery: d, EventID: d.PositionID()}, reason: reason})
}

// judge has the message decoded, found in the inbox and applied, as one that Kafka delivers is.
func (a *attempt[M, S]) judge(ctx context.Context, tx *Tx, d Delivery) (result string, reason, err error) {
	if a.batch, err = a.decode(ctx, []Delivery{d}); err != nil {
		return "", nil, err
	}
	if len(a.batch) == 0 {
		return "skipped", nil, nil
	}
	if reason := a.batch[0].reason; reason != nil {
		return "", reason, nil
	}
	first := &pgx.Batch{}
	a.read(first)
	if err := tx.SendBatch(ctx, first).Close(); err != nil {
		return "", nil, fmt.Errorf("record a message in the inbox and load: %w", err)
	}
	tx.Now = a.accepting.now
	conflicts, err := a.conflicts(ctx, tx)
	if err != nil {
		return "", nil, err
	}
	if conflict, ok := conflicts[0]; ok {
		return "", conflict, nil
	}
	if a.outcome.Duplicates > 0 {
		return "duplicate", nil, nil
	}
	caused, err := a.Apply(ctx, tx, a.loaded, []Received[M]{a.batch[0].Received})
	if err != nil {
		return "", nil, err
	}
	if caused, err = a.encode(ctx, caused); err != nil {
		return "", nil, err
	}
	a.out = append(a.out, caused...)
	if reason, ok := tx.refused[0]; ok {
		Forget(&tx.Last, a.Consumer, a.batch[0].EventID)
		return "", reason, nil
	}
	a.outcome.Redriven++
	return "applied", nil, nil
}

// afterRedrive reports what was committed.
func (a *attempt[M, S]) afterRedrive(ctx context.Context) {
	if a.redriven == nil {
		return
	}
	if a.Log != nil {
		for _, d := range a.deadLetters {
			a.Log.LogAttrs(ctx, slog.LevelError, "redriven message failed again",
				append(logged(d.Delivery, d.EventID, d.reason), slog.Int64("dead_letter", a.redriven.ID))...)
		}
	}
	a.observe(a.outcome)
	for _, f := range a.committed {
		f()
	}
}

// failHead has the first message of a queue dead, if it is still this one.
func (p *Processor[M, S]) failHead(ctx context.Context, queue uuid.UUID, id int64, reason error) error {
	err := pgx.BeginFunc(ctx, p.DB, func(tx pgx.Tx) error {
		letter, err := deadletter.Head(ctx, tx, p.Consumer, queue)
		if err != nil || letter == nil || letter.ID != id || letter.State != deadletter.Parked {
			return err
		}
		a := &attempt[M, S]{Processor: p, redriven: letter}
		a.failed(toDelivery(letter.Message), reason)
		batch := &pgx.Batch{}
		letter.Fail(batch, reason)
		if err := outbox.Queue(batch, a.out...); err != nil {
			return err
		}
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return fmt.Errorf("set dead letter %d of %s aside again: %w", id, p.Consumer, err)
	}
	return nil
}

// toDelivery makes of what was kept what Kafka had delivered.
func toDelivery(m deadletter.Message) Delivery {
	d := Delivery{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, Value: m.Payload, Headers: make([]Header, len(m.Headers))}
	if m.SentAt != nil {
		d.Time = *m.SentAt
	}
	for i, h := range m.Headers {
		d.Headers[i] = Header(h)
	}
	return d
}
