-- What a consumer has read up to, and what was in the messages that it has handled.

-- +goose Up

-- One row for each partition that a consumer reads, written in the transaction of each batch's effects. Kafka's committed
-- offsets can be ahead of a database that was restored, or failed over to a standby that lacked the last second; this row
-- goes back together with the effects, so a consumer that starts at the smaller of the two reads again what was lost.
create table consumer_positions (
    consumer    text        collate "C" not null,
    topic       text        collate "C" not null,
    "partition" integer     not null,
    next_offset bigint      not null constraint consumer_positions_offset_not_negative check (next_offset >= 0),
    read_until  timestamptz,
    updated_at  timestamptz not null default now(),
    primary key (consumer, topic, "partition")
) with (
    -- Updated with every batch: with room in its page, no index has to be.
    fillfactor = 20,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);

comment on table consumer_positions is 'How far each consumer has come in each partition, as of the effects in this database.';
comment on column consumer_positions.next_offset is 'Where reading goes on: the effects of everything before it are in this database.';
comment on column consumer_positions.read_until is
    'Timestamp in Kafka of the newest message of the last batch, never later than the clock of the consumer. Null: it had none.';

-- Not every row has one: those of an earlier version do not.
alter table inbox add column digest bigint;

comment on column inbox.digest is 'Of the message''s type, key and content: another message under the same event_id has another.';

-- As inbox_expect, for a consumer whose own position was taken back: with a code of its own, because trying again does
-- not help. The consumer has to read from there.
-- +goose StatementBegin
create function inbox_expect_positions(changed bigint, expected bigint) returns void language plpgsql as $$
begin
    if changed <> expected then
        raise exception using errcode = 'WB001',
            message = format('%s of %s positions in consumer_positions are not where this consumer left them', expected - changed, expected),
            detail = 'The database was restored or failed over to an earlier moment, or another instance wrote a position late.';
    end if;
end
$$;
-- +goose StatementEnd

-- +goose Down
drop function inbox_expect_positions(bigint, bigint);
alter table inbox drop column digest;
drop table consumer_positions;
