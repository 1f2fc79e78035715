-- What is on hand of each sku, and what is reserved for orders.
--
-- Each transaction keeps, for every sku: received = on_hand + what live reservations hold. The check stock_conserved
-- keeps half of it; the view stock_audit counts the reservations themselves.

-- +goose Up

-- What one column may hold stands in a domain and not in a check of the table: a table's checks are parsed again by
-- every statement that writes the table, which for a single row costs more than the row; a domain's once a session.
create domain stock_sku            as text    constraint stock_sku_length               check (octet_length(value) between 1 and 128);
create domain reservation_order    as bigint  constraint reservations_order_positive    check (value > 0);
create domain reservation_quantity as integer constraint reservations_quantity_positive check (value > 0);
create domain reservation_state    as text    constraint reservations_state             check (value in ('RESERVED', 'REJECTED', 'RELEASED'));

create table stock (
    -- "C": the order of the bytes, the same on every system. Rows are locked and pages are cut in this order.
    sku        stock_sku   collate "C" primary key,
    on_hand    bigint      not null constraint stock_on_hand_not_negative check (on_hand >= 0),
    received   bigint      not null,
    updated_at timestamptz not null default now(),
    constraint stock_conserved check (received >= on_hand)
) with (
    -- A popular row is updated many times a second: with room in its page, no index has to be.
    fillfactor = 50
);

comment on column stock.on_hand is 'Items that the next order can have.';
comment on column stock.received is
    'Items ever put in: the first count and what later counts added, less what they took away. What is received and not on hand is reserved.';

-- One row for each order that asked for something, or gave back before it asked. Rows stay: a command that is
-- repeated is answered from here.
create table reservations (
    order_id   reservation_order    primary key,
    sku        text                 collate "C",
    quantity   reservation_quantity,
    state      reservation_state    not null,
    reason     text                 not null default '',
    created_at timestamptz          not null default now(),
    updated_at timestamptz          not null default now(),
    constraint reservations_of_something check ((sku is null) = (quantity is null) and (sku is not null or state = 'RELEASED')),
    constraint reservations_rejected_says_why check ((state = 'REJECTED') = (reason <> ''))
);

comment on column reservations.sku is 'What was asked for. Null: released before it was asked for, so that a late request gets nothing.';
comment on column reservations.state is 'RESERVED is live: its items are reserved. The other two are final.';

-- Skus whose numbers do not add up: nothing, or something is broken. It reads all of both tables.
create view stock_audit as
select sku, s.on_hand, s.received, coalesce(r.reserved, 0) as reserved
  from stock s
  full join (select sku, sum(quantity)::bigint as reserved
               from reservations
              where state = 'RESERVED'
              group by sku) r using (sku)
 where coalesce(s.received, 0) <> coalesce(s.on_hand, 0) + coalesce(r.reserved, 0);

comment on view stock_audit is 'Skus for which received = on hand + reserved does not hold. Must be empty.';

-- +goose Down
drop view stock_audit;
drop table reservations;
drop table stock;
drop domain stock_sku, reservation_order, reservation_quantity, reservation_state;
