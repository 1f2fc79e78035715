-- What the HTTP API needs so that clients may try again.

-- +goose Up

-- A table of its own and not columns of orders: an order without a key costs nothing, and forgetting a key after its
-- time neither rewrites the order nor leaves dead rows among the orders.
create table order_requests (
    user_id    order_user  collate "C" not null,
    key        text        collate "C" not null constraint order_requests_key_length check (octet_length(key) between 1 and 255),
    digest     bytea       not null constraint order_requests_digest_length check (octet_length(digest) = 32),
    order_id   bigint      not null,
    created_at timestamptz not null default now(),
    constraint order_requests_pkey primary key (user_id, key)
);

create index order_requests_created_at on order_requests (created_at);

comment on table order_requests is 'One row per Idempotency-Key that a client sent, kept for IDEMPOTENCY_RETENTION.';
comment on column order_requests.digest is 'SHA-256 of what was asked for: the same key with another digest is refused.';
comment on column order_requests.order_id is 'The order that the request was answered with.';

alter table orders add column cancel_requested_at timestamptz, add column cancel_refused order_reason;

comment on column orders.cancel_requested_at is 'When a client first asked for the order to be cancelled. Asking again writes nothing.';
comment on column orders.cancel_refused is 'Why the saga refused to cancel the order, in words that the client may see.';

-- +goose Down
alter table orders drop column cancel_requested_at, drop column cancel_refused;
drop table order_requests;
