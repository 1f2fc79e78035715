-- Orders, as clients see them.

-- +goose Up

-- What one column may hold stands in a domain and not in a check of the table: a table's checks are parsed again by
-- every statement that writes the table, which for a single row costs more than the row; a domain's once a session.
create domain order_user     as text    constraint orders_user_id_length check (octet_length(value) between 1 and 128);
create domain order_sku      as text    constraint orders_sku_length     check (octet_length(value) between 1 and 128);
create domain order_quantity as integer constraint orders_quantity_range check (value between 1 and 1000000);
create domain order_note     as text    constraint orders_note_length    check (char_length(value) <= 1000);
create domain order_status   as text    constraint orders_status         check (value in ('PENDING', 'CONFIRMED', 'CANCELLED'));
create domain order_reason   as text    constraint orders_reason_length  check (char_length(value) between 1 and 1000);

-- Two indexes besides the primary key, one for each filter of the list: a page is a range of an index, however
-- many orders there are. Each costs every insert and every change of status, so there is no third: a list by user
-- and status reads the user's orders.
create table orders (
    id         bigint         generated always as identity primary key,
    user_id    order_user     collate "C" not null,
    sku        order_sku      not null,
    quantity   order_quantity not null,
    note       order_note     not null default '',
    status     order_status   collate "C" not null default 'PENDING',
    reason     order_reason,
    created_at timestamptz    not null default now(),
    updated_at timestamptz    not null default now(),
    constraint orders_cancelled_says_why check ((status = 'CANCELLED') = (reason is not null))
) with (
    -- Each order is updated once or twice in its life: clean up after a fiftieth of them, not a fifth.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 10000
);

create index orders_user_id on orders (user_id, id);
create index orders_status on orders (status, id);

comment on table orders is 'One row per order. Only ConfirmOrder and CancelOrder change one, and only its status and reason.';
comment on column orders.status is 'PENDING, then CONFIRMED or CANCELLED; a CONFIRMED order may yet be CANCELLED, and that is final.';
comment on column orders.reason is 'Why the order was cancelled, in words that the client may see.';

-- +goose Down
drop table orders;
drop domain order_user, order_sku, order_quantity, order_note, order_status, order_reason;
