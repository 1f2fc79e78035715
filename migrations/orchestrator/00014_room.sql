-- Room in its page for the next version of each saga.

-- +goose Up
-- A saga's row grows by what its first command adds, so pages that are filled to 60 % have no room for the next version of
-- one row in five, and that update writes into all indexes. Of rows that are there already the next versions move.
alter table sagas set (fillfactor = 42);

-- +goose Down
alter table sagas set (fillfactor = 60);
