-- What is left of each version of a definition, without reading the whole table.

-- +goose Up
-- One entry per saga, when it ends: what moves on while it is open writes no more than before. Of
-- entries that are alike, one in full stands for hundreds. It asks for wake_at: the deadline changes with each step, and
-- a column that an index asks for would keep steps from writing in place.
create index sagas_ended on sagas (definition, version) where wake_at is null;

-- +goose Down
drop index sagas_ended;
