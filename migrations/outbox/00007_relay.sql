-- Retention goes by a clock of its own, which follows the database's and never runs much faster than time: where
-- the database's clock jumps ahead, rows do not expire because of it before somebody has noticed.

-- +goose Up
alter table outbox_cursor add column retention_clock timestamptz not null default now();
comment on column outbox_cursor.retention_clock is
    'The time by which rows expire. It follows now(), and catches up with a lead of now() at a bounded rate.';

-- +goose Down
alter table outbox_cursor drop column retention_clock;
