-- Dead letters, and the messages that wait behind them, in the database that set them aside.

-- +goose Up

-- The copy in the topic <topic>.dlq is for others to see; this one is acted on.
create table dead_letters (
    id            bigint      generated always as identity primary key,
    consumer      text        collate "C" not null,
    topic         text        not null,
    "partition"   integer     not null,
    "offset"      bigint      not null,
    sent_at       timestamptz,
    key           bytea,
    type          text        not null default '',
    event_id      uuid,
    decoded       boolean     not null,
    -- json, not jsonb, which takes no NUL: a list of {"Key": text, "Value": base64}, in their order, with duplicates.
    headers       json        not null default '[]',
    payload       bytea       not null,
    payload_bytes bigint      not null,
    whole         boolean     not null,
    key_id        uuid,
    replaces      bigint,
    place         bigint      not null generated always as (coalesce(replaces, id)) stored,
    state         text        not null
                  constraint dead_letters_state check (state in ('dead', 'parked', 'redriven', 'discarded', 'superseded')),
    reason        text        not null default '',
    cause         text        not null default '',
    failures      integer     not null default 0 constraint dead_letters_failures_not_negative check (failures >= 0),
    result        text        not null default '',
    note          text        not null default '',
    revision      integer     not null default 1,
    set_aside_at  timestamptz not null default now(),
    changed_at    timestamptz not null default now(),
    superseded_by bigint,
    constraint dead_letters_dead_says_why check (state <> 'dead' or reason <> ''),
    constraint dead_letters_superseded    check ((state = 'superseded') = (superseded_by is not null))
);

-- The queue of a key, and what may be looked for on a busy day. Closed ones are found by id.
create index dead_letters_queue on dead_letters (consumer, key_id, place) where state in ('dead', 'parked');
create index dead_letters_open  on dead_letters (consumer, topic, state, set_aside_at) where state in ('dead', 'parked');
create index dead_letters_key   on dead_letters using hash (key);
create index dead_letters_event on dead_letters (event_id) where event_id is not null;
create index dead_letters_closed on dead_letters (changed_at) where state in ('redriven', 'discarded', 'superseded');
create index dead_letters_superseded_by on dead_letters (superseded_by) where superseded_by is not null;
create index dead_letters_replaces on dead_letters (replaces) where replaces is not null;

comment on table dead_letters is
    'Messages that a consumer could not apply (dead) and later messages of their keys that wait behind them (parked).';
comment on column dead_letters.event_id is 'The id that the message claims. Null: it could not be read.';
comment on column dead_letters.decoded is 'Whether the consumer could read the message: its event_id is certain then.';
comment on column dead_letters.whole is 'Whether key, headers and payload are all of it. The whole message is at topic/partition/offset while Kafka keeps it.';
comment on column dead_letters.key_id is 'Of topic and key: the queue that the message is in. Null: no other message waits for it.';
comment on column dead_letters.replaces is 'The dead letter whose place in the queue this one has: it is an edited copy.';
comment on column dead_letters.place is 'The order of a queue.';
comment on column dead_letters.reason is 'Why it could not be applied, the last time.';
comment on column dead_letters.cause is 'The reason without what differs from message to message: what dead letters are grouped by.';
comment on column dead_letters.failures is 'How often it could not be applied.';
comment on column dead_letters.result is 'What came of a redrive: applied, duplicate, skipped.';
comment on column dead_letters.note is 'Why an operator discarded or edited it.';

-- One row for each queue that has messages. Who adds to a queue or takes from it locks its row first, so this is where
-- deliveries, redrives and operators of all instances take turns. A consumer looks whether there is any with every batch.
create table parked_keys (
    consumer text        collate "C" not null,
    key_id   uuid        not null,
    run_at   timestamptz,
    primary key (consumer, key_id)
);

create index parked_keys_due on parked_keys (consumer, run_at) where run_at is not null;

comment on table parked_keys is 'Keys whose messages wait: later ones go to the end of the queue in dead_letters.';
comment on column parked_keys.run_at is 'When the first message of the queue is to be applied. Null: it is dead, and waits for an operator.';

-- +goose Down
drop table parked_keys;
drop table dead_letters;
