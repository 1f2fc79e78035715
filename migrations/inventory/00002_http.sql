-- What the HTTP API needs so that operators may try again.

-- +goose Up

-- A count that is sent again after reservations were made would put back what they have taken.
create table stock_requests (
    key        text        collate "C" primary key constraint stock_requests_key_length check (octet_length(key) between 1 and 255),
    digest     bytea       not null constraint stock_requests_digest_length check (octet_length(digest) = 32),
    answer     jsonb       not null default 'null',
    created_at timestamptz not null default now()
);

create index stock_requests_created_at on stock_requests (created_at);

comment on table stock_requests is 'One row per Idempotency-Key that a client sent, kept for IDEMPOTENCY_RETENTION.';
comment on column stock_requests.digest is 'SHA-256 of what was asked for: the same key with another digest is refused.';
comment on column stock_requests.answer is 'The stock as the request left it: what it is answered with when it comes again.';

-- +goose Down
drop table stock_requests;
