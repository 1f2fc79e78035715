-- For lists that people look at: the sagas that had to ask more than once.

-- +goose Up
-- Empty while every participant answers at the first attempt. The column deadline is in an index
-- already, so a row that moves on writes no more than before.
create index sagas_retrying on sagas (started_at, id) where deadline is not null and attempt > 1;

-- +goose Down
drop index sagas_retrying;
