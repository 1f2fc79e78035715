-- What operators change, in a log.

-- +goose Up

create domain stock_movement_kind   as text constraint stock_movements_kind   check (value in ('initial', 'set', 'count', 'move'));
create domain stock_movement_reason as text constraint stock_movements_reason check (char_length(value) <= 500);

-- One row for each change by an operator, written in its transaction, under the lock of the sku's row in stock: the ids of
-- a sku are in the order in which its changes took effect. Reservations write nothing here.
create table stock_movements (
    id       bigint generated always as identity constraint stock_movements_pkey primary key,
    sku      stock_sku             collate "C" not null,
    kind     stock_movement_kind   not null,
    delta    bigint                not null,
    on_hand  bigint                not null constraint stock_movements_on_hand_not_negative check (on_hand >= 0),
    reserved bigint                not null constraint stock_movements_reserved_not_negative check (reserved >= 0),
    reason   stock_movement_reason not null default '',
    actor    text                  not null default '',
    client   text                  not null default '',
    at       timestamptz           not null default clock_timestamp()
);

create index stock_movements_sku on stock_movements (sku, id);

comment on table stock_movements is 'Who changed what is on hand of a sku, by how much and why. Per sku, the deltas add up to stock.received.';
comment on column stock_movements.delta is 'What on_hand and received of the sku changed by.';
comment on column stock_movements.on_hand is 'What was on hand afterwards.';
comment on column stock_movements.reserved is 'What was reserved at that moment.';

insert into stock_movements (sku, kind, delta, on_hand, reserved, reason)
select sku, 'initial', received, on_hand, received - on_hand, 'what there was when the log began' from stock order by sku;

-- Skus whose numbers do not add up: received must be what is on hand and reserved, and what the movements add up to. It
-- reads all of the tables.
create or replace view stock_audit as
select sku, s.on_hand, s.received, coalesce(r.reserved, 0) as reserved, coalesce(m.moved, 0) as moved
  from stock s
  full join (select sku, sum(quantity)::bigint as reserved
               from reservation_lines
              where state = 'RESERVED'
              group by sku) r using (sku)
  full join (select sku, sum(delta)::bigint as moved
               from stock_movements
              group by sku) m using (sku)
 where coalesce(s.received, 0) <> coalesce(s.on_hand, 0) + coalesce(r.reserved, 0)
    or coalesce(s.received, 0) <> coalesce(m.moved, 0);

comment on view stock_audit is
    'Skus for which received = on hand + reserved = the sum of the movements does not hold. Must be empty.';

-- +goose Down
drop view stock_audit;
create view stock_audit as
select sku, s.on_hand, s.received, coalesce(r.reserved, 0) as reserved
  from stock s
  full join (select sku, sum(quantity)::bigint as reserved
               from reservation_lines
              where state = 'RESERVED'
              group by sku) r using (sku)
 where coalesce(s.received, 0) <> coalesce(s.on_hand, 0) + coalesce(r.reserved, 0);
comment on view stock_audit is 'Skus for which received = on hand + reserved does not hold. Must be empty.';
drop table stock_movements;
drop domain stock_movement_kind, stock_movement_reason;
