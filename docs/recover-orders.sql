-- For Orders' database after it was restored to an earlier moment: see "A database was restored" in runbook.md.
-- Read by the orchestrator's database, it prints the statements for that of Orders, before Orders is started:
--
--   psql "$ORCHESTRATOR_DB" -At -f docs/recover-orders.sql | psql "$ORDERS_DB" -v ON_ERROR_STOP=1 --single-transaction
--
-- Every saga whose order is not there gives it back, as PENDING, with the event that the saga began with; the note of an
-- order is in no message, and is lost. What the saga has commanded since is in Kafka, and Orders reads it again. Then ids
-- begin above every order that a saga knows, and above some that never got as far as having one. Run twice it changes
-- nothing more.
with lost as (
    select s.id::bigint as id, s.data, s.started_at, t.cause_id, ordered.user_id, ordered.lines
      from sagas s
     cross join lateral (
            -- As Go writes JSON: the event has to be the same, byte for byte, as the one that the saga began with. The
            -- first row is the user, and the others are lines.
            select max(quoted) filter (where n = 0) as user_id,
                   string_agg(format('"sku":%s,"quantity":%s', quoted, quantity), '},{' order by n) filter (where n > 0) as lines
              from (select n, quantity,
                           replace(replace(replace(to_json(text)::text, '<', '\u003c'), '>', '\u003e'), '&', '\u0026') as quoted
                      from (select 0 as n, s.data ->> 'userId' as text, null as quantity
                            union all
                            select 1, s.data ->> 'sku', s.data ->> 'quantity' where not s.data ? 'items'
                            union all
                            select n, item ->> 'sku', item ->> 'quantity'
                              from jsonb_array_elements(s.data -> 'items') with ordinality as list (item, n)) as parts) as texts
           ) as ordered
      join saga_transitions t on t.saga_id = s.id and t.cause_type = 'OrderCreated' and t.kind = 'started'
     where s.definition = 'order' and s.id ~ '^[1-9][0-9]{0,17}$' and s.data ? 'userId'
)
select statement
  from (
    select id, format(
        'with added as (insert into orders (id, user_id, sku, quantity, items, created_at, updated_at) overriding system value '
        'values (%s, %L, %L, %L, %L, %L, %L) on conflict do nothing returning 1) '
        'insert into outbox (event_id, topic, key, type, payload) '
        'select %L, ''orders.v1'', %L, ''OrderCreated'', convert_to(%L, ''UTF8'') from added;',
        id, data ->> 'userId', data ->> 'sku', data ->> 'quantity', data ->> 'items', started_at, started_at, cause_id, id::text,
        format('{"eventId":"%s","type":"OrderCreated","time":"%s","orderId":%s,"userId":%s,%s}',
            cause_id, to_char(started_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), id,
            user_id, case when data ? 'items' then '"items":[{' || lines || '}]' else lines end)) as statement
      from lost
    union all
    select max(id) + 1, format('select setval(''orders_id_seq'', %1$s) from orders_id_seq where last_value < %1$s;', max(id) + 1000)
      from lost
    having count(*) > 0
  ) as statements
 order by id;
