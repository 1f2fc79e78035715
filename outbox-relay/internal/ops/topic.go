package ops

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"

	"waybill.example/chassis/auditlog"
)

// Topic is what a topic is like.
type Topic struct {
	Name       string `json:"topic"`
	Partitions int    `json:"partitions" doc:"-1: as many as the broker gives a topic by itself."`
	Replicas   int    `json:"replicas" doc:"-1: as many as the broker gives a topic by itself."`
	// Config is what was set for the topic itself, as min.insync.replicas or retention.ms.
	Config map[string]string `json:"config"`
}

// Broker is a Kafka that can be asked for a topic.
type Broker interface {
	// Describe says what a topic is like; the error is an [ErrNotFound] where it does not exist.
	Describe(ctx context.Context, name string) (Topic, error)
	// Create creates a topic, or with dryRun only says whether it could be.
	Create(ctx context.Context, t Topic, dryRun bool) error
}

// MissingTopic is a topic to create: like another one, apart from what is said of it.
type MissingTopic struct {
	Name string
	// Like is a topic that exists; empty: that to which most of the newest rows of the database
	// went.
	Like       string
	Partitions int // 0: as Like
}

// NewTopic is a topic that was created, or would be.
type NewTopic struct {
	Topic
	Like    string `json:"like,omitempty" doc:"The topic that it is like; absent where the database has published to none yet."`
	Rows    int64  `json:"rows" doc:"How many rows are stuck because it does not exist."`
	Behind  int64  `json:"parkedBehind" doc:"How many rows wait for them."`
	Created bool   `json:"created" doc:"False: it would be created like this."`
	// Published and Waiting are what was seen to become of Rows.
	Published int64 `json:"published"`
	Waiting   int64 `json:"waiting" doc:"Rows of which nothing was seen yet."`
}

const (
	unknownTopic  = "UNKNOWN_TOPIC" // as package publish calls it
	waitForItSQL  = `select count(*) filter (where not parked and error_code = $2), count(*) filter (where parked) from public.outbox_stuck where topic = $1 and discarded_at is null`
	usualTopicSQL = `
select topic from (select s.topic, s.status from public.outbox_status s
                    where s.id = any (array(select o.id from public.outbox o order by o.id desc limit 500))) newest
 where topic <> $1 and status = 'published'
 group by topic order by count(*) desc, topic limit 1`
	tryTopicSQL = `
update public.outbox_stuck set next_attempt_at = now()
 where topic = $1 and error_code = $2 and not parked and discarded_at is null`
)

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// PlanTopic says what a missing topic would be created like, and for how many rows. Only a topic
// for which rows of the database are stuck can be created: neither a slip of the keyboard nor an
// operator's token makes others.
func (d *Database) PlanTopic(ctx context.Context, m MissingTopic, broker Broker) (n NewTopic, err error) {
	if !topicName.MatchString(m.Name) {
		return n, fmt.Errorf("%w: a topic's name has 1 to 249 letters, digits, '.', '_' and '-'", ErrInvalid)
	}
	if err := d.pool.QueryRow(ctx, waitForItSQL, m.Name, unknownTopic).Scan(&n.Rows, &n.Behind); err != nil {
		return n, fmt.Errorf("look for rows of topic %s in database %s: %w", m.Name, d.Name, err)
	}
	if n.Rows == 0 {
		return n, fmt.Errorf("no row of database %s is stuck because topic %s does not exist: %w", d.Name, m.Name, ErrConflict)
	}
	if n.Like, err = d.likeness(ctx, m); err != nil {
		return n, err
	}
	n.Topic = Topic{Partitions: -1, Replicas: -1}
	if n.Like != "" {
		if n.Topic, err = broker.Describe(ctx, n.Like); err != nil {
			return n, fmt.Errorf("see what it would be like: %w", err)
		}
	}
	n.Name = m.Name
	if m.Partitions > 0 {
		n.Partitions = m.Partitions
	}
	return n, broker.Create(ctx, n.Topic, true)
}

// likeness is the topic that a missing one should be like. Empty: the database has published to
// none yet.
func (d *Database) likeness(ctx context.Context, m MissingTopic) (like string, err error) {
	if m.Like != "" {
		return m.Like, nil
	}
	err = d.pool.QueryRow(ctx, usualTopicSQL, m.Name).Scan(&like)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("look for the topics of database %s: %w", d.Name, err)
	}
	return like, nil
}

// CreateTopic creates a missing topic as PlanTopic has said, has its rows tried at once, and says
// what came of them.
func (d *Database) CreateTopic(ctx context.Context, by By, m MissingTopic, broker Broker) (n NewTopic, err error) {
	if n, err = d.PlanTopic(ctx, m, broker); err != nil {
		return n, err
	}
	err = d.audited(ctx, by, "create-topic", func(tx pgx.Tx) (entry auditlog.Entry, err error) {
		if _, err := tx.Exec(ctx, tryTopicSQL, m.Name, unknownTopic); err != nil {
			return entry, fmt.Errorf("have the rows of topic %s tried: %w", m.Name, err)
		}
		if err := notify(ctx, tx); err != nil {
			return entry, err
		}
		// Last, since it cannot be rolled back: what could still fail is the commit.
		return auditlog.Entry{Object: "topic/" + m.Name, After: n.Topic, Result: fmt.Sprintf("%d stuck rows to be tried", n.Rows)}, broker.Create(ctx, n.Topic, false)
	})
	if err != nil {
		return n, err
	}
	n.Created, n.Waiting = true, n.Rows
	_, err = observe(ctx, d.Patience, func(ctx context.Context) (bool, error) {
		err := d.pool.QueryRow(ctx, waitForItSQL, m.Name, unknownTopic).Scan(&n.Waiting, &n.Behind)
		return err == nil && n.Waiting == 0, err
	})
	if err != nil {
		return n, fmt.Errorf("see what became of the rows of topic %s: %w", m.Name, err)
	}
	n.Published = max(0, n.Rows-n.Waiting)
	return n, nil
}
