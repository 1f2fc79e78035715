-- Orders, as clients see them.

-- +goose Up

-- Two indexes besides the primary key, one for each filter of the list: a page is a range of an index, however
-- many orders there are. Each costs every insert and every change of status, so there is no third: a list by user
-- and status reads the user's orders.
create table orders (
    id         bigint      generated always as identity primary key,
    user_id    text        not null constraint orders_user_id_length check (octet_length(user_id) between 1 and 128),
    sku        text        not null constraint orders_sku_length check (octet_length(sku) between 1 and 128),
    quantity   integer     not null constraint orders_quantity_range check (quantity between 1 and 1000000),
    note       text        not null default '' constraint orders_note_length check (char_length(note) <= 1000),
    status     text        not null default 'PENDING'
               constraint orders_status check (status in ('PENDING', 'CONFIRMED', 'CANCELLED')),
    reason     text        constraint orders_reason_length check (char_length(reason) between 1 and 1000),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint orders_cancelled_says_why check ((status = 'CANCELLED') = (reason is not null))
) with (
    -- Each order is updated once or twice in its life: clean up after a fiftieth of them, not a fifth.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 10000
);

create index orders_user_id on orders (user_id, id);
create index orders_status on orders (status, id);

comment on table orders is 'One row an order. Only ConfirmOrder and CancelOrder change one, and only its status and reason.';
comment on column orders.status is 'PENDING, then CONFIRMED or CANCELLED; a CONFIRMED order may yet be CANCELLED, and that is final.';
comment on column orders.reason is 'Why the order was cancelled, in words that the client may see.';

-- +goose Down
drop table orders;
