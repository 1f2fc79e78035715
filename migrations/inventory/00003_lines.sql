-- Reservations of orders with several lines.

-- +goose Up

-- A column that is null for an order of one line, and not a table of lines: the ordinary order is one row as before, and
-- not a byte larger, since it has no null bitmap and a row with one of at most 8 columns is as long (8 is what there are
-- now). What an order reserves is decided, answered and released as a whole, and never searched by its lines.
create domain reservation_items as jsonb
    constraint reservations_items_several check (jsonb_typeof(value) = 'array' and jsonb_array_length(value) between 2 and 100)
    constraint reservations_items_lines check (not jsonb_path_exists(value,
        '$[*] ? (!(@.sku.type() == "string" && @.quantity.type() == "number" && @.quantity >= 1))'));

alter table reservations
    add column items reservation_items,
    drop constraint reservations_of_something,
    add constraint reservations_of_something check ((sku is null) = (quantity is null)
        and case when items is null then sku is not null or state = 'RELEASED' else sku is null end);

comment on column reservations.sku is
    'What was asked for by an order of one line. Null without items: released before it was asked for, so that a late request gets nothing.';
comment on column reservations.items is
    'What was asked for by an order of several lines, all or nothing: [{"sku": text, "quantity": integer}, …]. Null for one line.';

-- One row for each line, wherever it is kept.
create view reservation_lines as
select r.order_id, r.state, line.sku, line.quantity
  from reservations r
 cross join lateral (
        select r.sku collate "C" as sku, r.quantity::integer as quantity where r.sku is not null
        union all
        select item.sku collate "C", item.quantity from jsonb_to_recordset(r.items) as item (sku text, quantity integer)) as line;

comment on view reservation_lines is 'What each order asked for, one row per line.';

create or replace view stock_audit as
select sku, s.on_hand, s.received, coalesce(r.reserved, 0) as reserved
  from stock s
  full join (select sku, sum(quantity)::bigint as reserved
               from reservation_lines
              where state = 'RESERVED'
              group by sku) r using (sku)
 where coalesce(s.received, 0) <> coalesce(s.on_hand, 0) + coalesce(r.reserved, 0);

-- +goose Down
create or replace view stock_audit as
select sku, s.on_hand, s.received, coalesce(r.reserved, 0) as reserved
  from stock s
  full join (select sku, sum(quantity)::bigint as reserved
               from reservations
              where state = 'RESERVED'
              group by sku) r using (sku)
 where coalesce(s.received, 0) <> coalesce(s.on_hand, 0) + coalesce(r.reserved, 0);
drop view reservation_lines;
-- Fails while there are orders of several lines: nothing else knows what they hold.
alter table reservations drop constraint reservations_of_something;
alter table reservations add constraint reservations_of_something
    check ((sku is null) = (quantity is null) and (sku is not null or state = 'RELEASED'));
alter table reservations drop column items;
drop domain reservation_items;
