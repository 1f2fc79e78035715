package relay

import (
	"context"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/jackc/pgx/v5"
)

// How long the naive loop is watched; its rate does not change with the size of the backlog.
const naiveTime = 5 * time.Second

// prepareNaive makes a copy of the backlog with the column and the index that the naive loop needs.
func prepareNaive(ctx context.Context, db *database) error {
	for _, sql := range []string{
		`create table naive as select o.*, null::timestamptz as published_at from outbox o`,
		`alter table naive add primary key (id)`,
		`create index on naive (id) where published_at is null`,
		`vacuum analyze naive`,
		`checkpoint`,
	} {
		if _, err := db.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// naive is the loop that most outboxes begin with: lock a batch, produce it, wait, mark it as
// published, commit.
func (b *bench) naive(ctx context.Context, db *database) (float64, error) {
	producer, err := ckafka.NewProducer(reach(b.brokerAddr()).ProducerConfig("naive", ckafka.ConfigMap{
		"go.logs.channel.enable": false, "linger.ms": 0,
	}))
	if err != nil {
		return 0, err
	}
	defer producer.Close()
	began, done := time.Now(), 0
	for time.Since(began) < naiveTime {
		before := done
		err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
			n, err := naiveBatch(ctx, tx, producer)
			done += n
			return err
		})
		if err != nil {
			return 0, err
		}
		if done == before {
			break // the backlog is empty
		}
	}
	return float64(done) / time.Since(began).Seconds(), nil
}

const (
	naiveLockSQL = `
select id, topic, key, payload from naive where published_at is null order by id limit 500 for update skip locked`
	naiveMarkSQL = `update naive set published_at = now() where id = any($1)`
)

func naiveBatch(ctx context.Context, tx pgx.Tx, producer *ckafka.Producer) (int, error) {
	type row struct {
		ID      int64
		Topic   string
		Key     string
		Payload []byte
	}
	found, _ := tx.Query(ctx, naiveLockSQL)
	rows, err := pgx.CollectRows(found, pgx.RowToStructByPos[row])
	if err != nil {
		return 0, err
	}
	answers := make(chan ckafka.Event, len(rows))
	ids := make([]int64, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
		err := producer.Produce(&ckafka.Message{
			TopicPartition: ckafka.TopicPartition{Topic: &r.Topic, Partition: ckafka.PartitionAny},
			Key:            []byte(r.Key), Value: r.Payload, Headers: headers(),
		}, answers)
		if err != nil {
			return 0, err
		}
	}
	for range rows {
		if answer, ok := (<-answers).(*ckafka.Message); ok && answer.TopicPartition.Error != nil {
			return 0, answer.TopicPartition.Error
		}
	}
	_, err = tx.Exec(ctx, naiveMarkSQL, ids)
	return len(rows), err
}
