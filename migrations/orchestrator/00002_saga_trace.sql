-- +goose Up
alter table sagas add column trace text not null default '';
comment on column sagas.trace is 'The traceparent (W3C Trace Context) of the message that began it; its commands belong to the same trace.';

-- +goose Down
alter table sagas drop column trace;
