package inbox_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

// consume has a handler process the messages of a consumer group until ctx ends.
func consume(ctx context.Context, h inbox.Handler, positions *inbox.Positions, log *slog.Logger, opts ...kgo.Opt) error {
	client, err := kgo.NewClient(append(opts,
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AdjustFetchOffsetsFn(earlier(positions)),
		kgo.DisableAutoCommit(),           // an offset is committed once its message is durable
		kgo.BlockRebalanceOnPoll(),        // no partition is given up in the middle of a batch
		kgo.SessionTimeout(6*time.Second), // the partitions of a killed process go to another
	)...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, 500)
		fetches.EachError(func(topic string, partition int32, err error) {
			log.WarnContext(ctx, "fetch failed", "topic", topic, "partition", partition, "error", err)
		})
		var batch []inbox.Delivery
		fetches.EachRecord(func(r *kgo.Record) { batch = append(batch, delivered(r)) })
		if err := inbox.ProcessWithRetry(ctx, h, batch, log); err != nil {
			return err // ctx has ended, or inbox.Rewound: consume again, from the positions
		}
		if err := client.CommitUncommittedOffsets(ctx); err != nil {
			log.WarnContext(ctx, "offsets not committed: messages come again", "error", err)
		}
		client.AllowRebalance()
	}
	return ctx.Err()
}

// earlier has partitions read from the smaller of Kafka's offset and the database's position.
func earlier(positions *inbox.Positions) func(context.Context, map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	return func(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
		var assigned []inbox.Partition
		for topic, partitions := range offsets {
			for partition := range partitions {
				assigned = append(assigned, inbox.Partition{Topic: topic, Partition: partition})
			}
		}
		stored, err := positions.Read(ctx, assigned)
		if err != nil {
			return nil, err
		}
		for p, next := range stored {
			if committed := offsets[p.Topic][p.Partition].EpochOffset().Offset; committed < 0 || next < committed {
				offsets[p.Topic][p.Partition] = kgo.NewOffset().At(next)
			}
		}
		return offsets, nil
	}
}

func delivered(r *kgo.Record) inbox.Delivery {
	d := inbox.Delivery{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp}
	for _, h := range r.Headers {
		d.Headers = append(d.Headers, inbox.Header{Key: h.Key, Value: h.Value})
	}
	return d
}

// Arrival is a message: so many of an article have arrived.
type Arrival struct {
	Article string `json:"article"`
	Count   int    `json:"count"`
}

// depot counts what has arrived.
func depot(db *pgxpool.Pool, observe func(inbox.Outcome)) *inbox.Processor[Arrival, struct{}] {
	return &inbox.Processor[Arrival, struct{}]{
		Consumer:  "depot",
		DB:        db,
		Positions: inbox.NewPositions(db, "depot"),
		Observe:   observe,
		Decode: func(d inbox.Delivery) (id uuid.UUID, a Arrival, err error) {
			if d.Header("ce_type") != "Arrived" {
				return id, a, inbox.ErrSkip
			}
			if id, err = uuid.Parse(d.Header("ce_id")); err != nil {
				return id, a, err // a dead letter
			}
			return id, a, json.Unmarshal(d.Value, &a)
		},
		Apply: func(_ context.Context, tx *inbox.Tx, _ *struct{}, batch []inbox.Received[Arrival]) ([]outbox.Message, error) {
			for _, m := range batch {
				tx.Last.Queue(`insert into stock values ($1, $2) on conflict (article) do update set count = stock.count + excluded.count`,
					m.Message.Article, m.Message.Count)
			}
			return nil, nil
		},
	}
}

// A message is counted once, though it comes twice, also after the database was restored; one that
// cannot be read and one that the schema refuses are dead letters, and hold nothing up.
func TestConsumerOfFranzGo_CountsWhatArrivesOnce(t *testing.T) {
	t.Parallel()
	db, broker := pgtest.New(t, migrations.Outbox), kafkatest.Start(t, "arrivals.v1")
	_, err := db.Pool.Exec(t.Context(), `create table stock (article text primary key, count int check (count < 100))`)
	require.NoError(t, err)
	arrived := func(id byte, typ, value string) kafkatest.Record {
		return kafkatest.Record{Topic: "arrivals.v1", Key: []byte("lamp"), Value: []byte(value), Headers: map[string]string{
			"ce_id": uuid.UUID{15: id}.String(), "ce_type": typ,
		}}
	}
	const two = `{"article":"lamp","count":2}`
	broker.Produce(t, arrived(1, "Arrived", two), arrived(2, "Arrived", `{"article":"lamp","count":200}`), arrived(3, "Arrived", `two lamps`),
		arrived(4, "Priced", `{}`), arrived(1, "Arrived", two), arrived(5, "Arrived", `{"article":"lamp","count":3}`))

	// consumed runs the consumer until all has been handled and, with a message more, the offsets
	// of that are committed.
	consumed := func() {
		t.Helper()
		all := inbox.Outcome{Applied: 2, Duplicates: 1, Skipped: 1, DeadLettered: 2}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var sum inbox.Outcome
		p := depot(db.Pool, func(o inbox.Outcome) {
			sum.Applied, sum.Duplicates, sum.Skipped, sum.DeadLettered = sum.Applied+o.Applied, sum.Duplicates+o.Duplicates, sum.Skipped+o.Skipped, sum.DeadLettered+o.DeadLettered
			switch {
			case sum == all:
				broker.Produce(t, arrived(6, "Priced", `{}`))
			case sum.Skipped > all.Skipped:
				stop()
			}
		})
		err := consume(ctx, p, p.Positions, slog.New(slog.DiscardHandler), kgo.SeedBrokers(broker.Addr()), kgo.ConsumerGroup("depot"), kgo.ConsumeTopics("arrivals.v1"))
		require.ErrorIs(t, err, context.Canceled)
		var count int
		require.NoError(t, db.Pool.QueryRow(t.Context(), `select count from stock`).Scan(&count))
		require.Equal(t, 5, count)
	}
	consumed()

	_, err = db.Pool.Exec(t.Context(), `truncate stock, inbox, dead_letters, parked_keys; update consumer_positions set next_offset = 0`)
	require.NoError(t, err)
	consumed()
}
