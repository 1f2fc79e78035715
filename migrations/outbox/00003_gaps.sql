-- What the table refuses, what the relay remembers of gaps in the ids, and what holds a gap open.

-- +goose Up

-- What the relay could never publish is refused when it is inserted, with the reason. A check is parsed again by each
-- statement that inserts, at a cost that grows with its text: this one is a call and nothing else, and costs what the
-- much shorter check before it did (decision 045). Its operators are of exactly the types that they are given, so that
-- none that is planted in the schema fits better: the cast matters. A search_path of its own costs 3 µs more than 6.6
-- per row.
-- +goose StatementBegin
create function outbox_fits(id bigint, topic text, key text, type text, headers jsonb, created_at timestamptz)
returns boolean language plpgsql immutable as $$
begin
    if topic ~ '^[A-Za-z0-9._-]+$' and topic <> '.' and topic <> '..'
       and coalesce(octet_length(key), 0) <= 2048
       and type <> ''
       and headers @> '{}' and not headers @? 'strict $.* ? (@.type() != "string")'::jsonpath
       and id between 1 and 9223372036854775806
       and created_at between '0001-01-02 00:00+00' and '9999-12-30 00:00+00'
    then
        return true;
    end if;
    raise check_violation using
        constraint = 'outbox_fits', table = 'outbox',
        message = case
            when not (topic ~ '^[A-Za-z0-9._-]+$' and topic <> '.' and topic <> '..')
                then 'the topic of an outbox row must be 1 to 249 ASCII letters, digits, dots, underscores or hyphens, and neither "." nor ".."'
            when octet_length(key) > 2048
                then 'the key of an outbox row must not be longer than 2048 bytes, so that rows can be found by it'
            when type = ''
                then 'the type of an outbox row must not be empty'
            when not (headers @> '{}' and not headers @? 'strict $.* ? (@.type() != "string")'::jsonpath)
                then 'the headers of an outbox row must be an object of strings, such as {"traceparent": "00-..."}'
            when not id between 1 and 9223372036854775806
                then 'the id of an outbox row must be between 1 and 9223372036854775806; leave it out, and the table assigns it'
            else 'created_at of an outbox row must be between the years 1 and 9999; leave it out, and it is now'
        end;
end
$$;
-- +goose StatementEnd

alter table outbox drop constraint outbox_topic_type_headers;
alter table outbox add constraint outbox_fits check (outbox_fits(id, topic, key, type, headers, created_at));

-- Truncate takes away rows that may not be published yet, and with "restart identity" the ids are assigned again that
-- the cursor has as published: the new rows would never be sent.
-- +goose StatementBegin
create function outbox_refuse_truncate() returns trigger language plpgsql as $$
begin
    raise exception 'truncate of outbox is refused: rows that wait would be lost, and ids that are assigned again count as published'
        using hint = 'To empty the table, delete from outbox: the relay goes on. To truncate it all the same, stop the relay, '
                     'run "alter table outbox disable trigger outbox_refuse_truncate", truncate without "restart identity", '
                     'enable the trigger, and start the relay.';
end
$$;
-- +goose StatementEnd

create trigger outbox_refuse_truncate before truncate on outbox
    for each statement execute function outbox_refuse_truncate();

-- The last row that was published: where another row is found under its id, the table was truncated or restored without
-- its cursor.
alter table outbox_cursor add witness_id bigint, add witness_event_id uuid;

comment on column outbox_cursor.witness_id is
    'Id of a row that was published, and witness_event_id its event_id, by which a leader knows the table again.';

-- Given up ids are remembered for as long as published rows are kept, which can be many ranges.
create index outbox_closed_ids on outbox_closed using gist (ids);

-- A transaction that has executed NOTIFY cannot be prepared, and a trigger cannot know that its transaction will be. So
-- writers notify where no transaction can be prepared, which is how Postgres comes, or where they are said to be none
-- that do: alter database … set waybill.notify = 'on' (or alter role). 'off' keeps them from it; then, and where nothing
-- is said and transactions can be prepared, a sleeping relay looks for rows 20 times per second (decision 046).
-- +goose StatementBegin
create or replace function outbox_wake() returns trigger language plpgsql as $$
begin
    case coalesce(current_setting('waybill.notify', true), '')
        when 'on' then
            perform pg_notify('outbox', '');
        when 'off' then
        else
            if current_setting('max_prepared_transactions') = '0' then
                perform pg_notify('outbox', '');
            end if;
    end case;
    return null;
end
$$;
-- +goose StatementEnd

-- The cursor is read once per query, not once per row: with many gaps it is large, and stored compressed.
drop view outbox_status;
create view outbox_status as
with cursor as materialized (select published + '{}'::int8multirange as published from outbox_cursor)
select o.id, o.event_id, o.topic, o.key, o.type, o.created_at,
       case when s.discarded_at is not null then 'discarded'
            when s.parked then 'parked'
            when s.outbox_id is not null then 'stuck'
            when exists (select from outbox_closed g where g.ids @> o.id) then 'late'
            when c.published @> o.id then 'published'
            else 'pending'
       end as status,
       s.error_code, s.error, s.attempts, s.stuck_at, s.next_attempt_at
  from outbox o
 cross join cursor c
  left join outbox_stuck s on s.outbox_id = o.id;

comment on view outbox_status is
    'What became of each row. late: it came after its id was given up as rolled back, and will be published out of order.';

-- The transactions that have used the id sequence and have not ended: as long as one that was there when a gap was first
-- seen goes on, it may fill the gap. Query and state of other roles' sessions are shown to members of pg_read_all_stats.
create view outbox_gap_holders as
with lock as materialized (
    select locktype, database, relation, transactionid, virtualtransaction, pid, mode from pg_locks where granted),
holder as (
    select virtualtransaction, pid
      from lock
     where locktype = 'relation' and relation = 'outbox_id_seq'::regclass and mode = 'RowExclusiveLock'
       and database = (select oid from pg_database where datname = current_database()))
select a.pid, null::text as gid, a.backend_xid as xid, a.usename as role, a.application_name, a.client_addr,
       a.state, a.xact_start as since, a.query
  from holder h
  join pg_stat_activity a on a.pid = h.pid
union all
select null, p.gid, p.transaction, p.owner, '', null, 'prepared', p.prepared, ''
  from pg_prepared_xacts p
 where p.database = current_database()
   and exists (select from lock l
                where l.locktype = 'transactionid' and l.transactionid = p.transaction and l.pid is null
                  and l.virtualtransaction in (select virtualtransaction from holder where pid is null));

-- The first id whose row was inserted at a time or later, found by some thirty looks at the primary key: created_at
-- grows with the id, but for milliseconds between transactions that insert at once and for values set by hand.
-- +goose StatementBegin
create function outbox_id_at(moment timestamptz) returns bigint language plpgsql stable as $$
declare
    low    bigint;
    high   bigint;
    middle bigint;
    found_ record;
begin
    select min(id), max(id) + 1 into low, high from outbox;
    while low < high loop
        middle := low + (high - low) / 2;
        select id, created_at into found_ from outbox where id >= middle and id < high order by id limit 1;
        if found_.id is null or found_.created_at >= moment then
            high := middle;
        else
            low := found_.id + 1;
        end if;
    end loop;
    return coalesce(low, 1);
end
$$;
-- +goose StatementEnd

-- +goose Down
drop function outbox_id_at(timestamptz);
drop view outbox_gap_holders;
drop view outbox_status;
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
-- +goose StatementBegin
create or replace function outbox_wake() returns trigger language plpgsql as $$
begin
    perform pg_notify('outbox', '');
    return null;
end
$$;
-- +goose StatementEnd
drop index outbox_closed_ids;
alter table outbox_cursor drop witness_id, drop witness_event_id;
drop trigger outbox_refuse_truncate on outbox;
drop function outbox_refuse_truncate();
alter table outbox drop constraint outbox_fits;
drop function outbox_fits(bigint, text, text, text, jsonb, timestamptz);
alter table outbox add constraint outbox_topic_type_headers check (topic <> '' and type <> '' and headers @> '{}');
