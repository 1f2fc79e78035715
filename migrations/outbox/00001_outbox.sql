-- The transactional outbox, and the inbox that makes a consumer's effect happen once.
-- Stands alone: install it into any database whose service wants to publish.
--
-- A writer needs `insert` on outbox; the relay needs all of it.

-- +goose Up

-- Append-only for writers and relay alike: publishing a row never touches it.
--
-- Indexes cost every writer, so there are two. The primary key is what the relay reads by. (key, id) serves
-- "everything about this key": replay by key, explain, and what parks behind a stuck row. Rows are not looked
-- up by event_id or created_at on a hot path: created_at grows with id, so retention and replay by time walk
-- the primary key instead.
create table outbox (
    -- cache 1: ids grow across sessions, so of two rows of which one saw the other, the later has the higher id.
    id         bigint       generated always as identity (cache 1) primary key,
    event_id   uuid         not null default gen_random_uuid(),
    topic      varchar(249) not null,
    -- "C": the order of the bytes, which is cheaper to compare and the same on every system.
    key        text         collate "C",
    type       text         not null,
    payload    bytea        not null,
    headers    jsonb        not null default '{}',
    created_at timestamptz  not null default clock_timestamp(),
    -- One check, and a short one: every statement that inserts parses it again. Only an object contains {}.
    constraint outbox_topic_type_headers check (topic <> '' and type <> '' and headers @> '{}')
) with (
    -- Retention deletes in bulk: vacuum often enough that the space is used again, and never shorten the file,
    -- which would lock writers out.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 10000,
    vacuum_truncate = off
);

-- Not only where there is a key: each insert would pay for the question.
create index outbox_key on outbox (key, id);

comment on table outbox is 'Messages to publish, written in the transaction they tell about. Never updated.';
comment on column outbox.event_id is 'Identity of the message: a consumer that has seen it ignores it. Stays the same through replays.';
comment on column outbox.key is 'Kafka key; order is kept among rows of one key. Null: no order, any partition.';
comment on column outbox.type is 'CloudEvents type, sent as ce_type.';
comment on column outbox.headers is 'Further Kafka headers as pairs of strings, e.g. {"traceparent": "00-…"}.';

-- One row: how far the relay has come.
create table outbox_cursor (
    singleton  boolean        primary key default true constraint outbox_cursor_one_row check (singleton),
    published  int8multirange not null default '{}',
    epoch      bigint         not null default 0,
    leader     text           not null default '',
    led_since  timestamptz,
    paused     boolean        not null default false,
    updated_at timestamptz    not null default now()
);

insert into outbox_cursor default values;

comment on column outbox_cursor.published is
    'Ids the relay need not read again: acknowledged by the broker, given up as rolled back, or moved to outbox_stuck.';
comment on column outbox_cursor.epoch is
    'Grows with each new leader; every write of a leader names its epoch, so that one that was replaced changes nothing.';

-- +goose StatementBegin
create function outbox_wake() returns trigger language plpgsql as $$
begin
    perform pg_notify('outbox', '');
    return null;
end
$$;
-- +goose StatementEnd

-- NOTIFY takes a lock that serialises commits, so writers pay for it only while the relay sleeps. Then it holds this
-- advisory lock ("outboy" in ASCII); else each writer shares it until its transaction ends, which costs a microsecond
-- and tells the relay, when it wants to sleep, that a row is still to come.
create trigger outbox_wake after insert on outbox for each statement
    when (not pg_try_advisory_xact_lock_shared(122550254464889)) execute function outbox_wake();

-- Rows the broker refuses for good, and the later rows of their keys, which wait (parked) to keep the key's order.
-- A row that is published leaves the table; one that was discarded stays for the record.
create table outbox_stuck (
    outbox_id       bigint      primary key,
    key             text,
    topic           text        not null,
    parked          boolean     not null,
    error_code      text        not null default '',
    error           text        not null default '',
    attempts        integer     not null default 0 constraint outbox_stuck_attempts_positive check (attempts >= 0),
    stuck_at        timestamptz not null default now(),
    last_attempt_at timestamptz,
    next_attempt_at timestamptz,
    discarded_at    timestamptz,
    constraint outbox_stuck_says_why   check (parked or error <> ''),
    constraint outbox_stuck_parked     check (not parked or (key is not null and next_attempt_at is null)),
    constraint outbox_stuck_goes_on    check (parked or next_attempt_at is not null or discarded_at is not null)
);

create index outbox_stuck_key on outbox_stuck (key, outbox_id);
create index outbox_stuck_due on outbox_stuck (next_attempt_at) where next_attempt_at is not null;

comment on column outbox_stuck.parked is 'Not refused itself: it waits behind an earlier row of its key.';
comment on column outbox_stuck.next_attempt_at is
    'When the leading relay looks at the row again: to send it, or to let a discarded row''s followers go.';

-- Ids given up as rolled back. Read again for a while, so that a row that comes after all is found and published.
create table outbox_closed (
    id        bigint         generated always as identity primary key,
    ids       int8multirange not null,
    closed_at timestamptz    not null default now()
);

-- Published rows to send again: jobs that the leading relay works off.
create table outbox_replay (
    id           bigint      generated always as identity primary key,
    from_id      bigint,
    to_id        bigint,
    key          text,
    since        timestamptz,
    until        timestamptz,
    topic        text,
    rate         integer     not null constraint outbox_replay_rate_positive check (rate > 0),
    state        text        not null default 'waiting'
                 constraint outbox_replay_state check (state in ('waiting', 'running', 'done', 'cancelled', 'failed')),
    total        bigint      not null default 0,
    sent         bigint      not null default 0,
    last_id      bigint      not null default 0,
    error        text        not null default '',
    requested_at timestamptz not null default now(),
    finished_at  timestamptz,
    constraint outbox_replay_bounded check (num_nonnulls(from_id, to_id, key, since, until) > 0),
    constraint outbox_replay_finished check ((state in ('waiting', 'running')) = (finished_at is null))
);

comment on column outbox_replay.topic is 'Where to send; null: to the topic of each row.';
comment on column outbox_replay.rate is 'Rows a second at most.';

-- Who changed what, when and why.
create table outbox_audit (
    id      bigint      generated always as identity primary key,
    at      timestamptz not null default now(),
    actor   text        not null constraint outbox_audit_actor_present check (actor <> ''),
    action  text        not null constraint outbox_audit_action
            check (action in ('retry', 'discard', 'replay', 'replay-cancel', 'pause', 'resume')),
    reason  text        not null default '',
    details jsonb       not null default '{}'
);

-- What became of each row, for people and for other tools: select * from outbox_status where key = '42' order by id.
create view outbox_status as
select o.id, o.event_id, o.topic, o.key, o.type, o.created_at,
       case when s.discarded_at is not null then 'discarded'
            when s.parked then 'parked'
            when s.outbox_id is not null then 'stuck'
            when c.published @> o.id then 'published'
            else 'pending'
       end as status,
       s.error_code, s.error, s.attempts, s.stuck_at, s.next_attempt_at
  from outbox o
 cross join outbox_cursor c
  left join outbox_stuck s on s.outbox_id = o.id;

-- One row for each message that a consumer has handled, written in the transaction of its effect.
create table inbox (
    event_id    uuid        not null,
    consumer    text        not null,
    topic       text        not null,
    "partition" integer     not null,
    "offset"    bigint      not null,
    handled_at  timestamptz not null default now(),
    primary key (event_id, consumer)
) with (
    -- As for the outbox: old rows are deleted in bulk.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 10000,
    vacuum_truncate = off
);

comment on table inbox is 'Messages handled: an event_id a consumer finds here has had its effect already.';

-- A consumer's last statements travel with its commit, so it cannot look at what they did and decide to roll back: they
-- have to fail by themselves. With the code of a serialization failure, because the next attempt finds another world.
-- +goose StatementBegin
create function inbox_expect(changed bigint, expected bigint) returns void language plpgsql as $$
begin
    if changed <> expected then
        raise serialization_failure using message = format('%s rows were to change, and %s did: another transaction was faster', expected, changed);
    end if;
end
$$;
-- +goose StatementEnd

-- +goose Down
drop function inbox_expect(bigint, bigint);
drop table inbox;
drop view outbox_status;
drop table outbox_audit;
drop table outbox_replay;
drop table outbox_closed;
drop table outbox_stuck;
drop table outbox_cursor;
drop table outbox;
drop function outbox_wake();
