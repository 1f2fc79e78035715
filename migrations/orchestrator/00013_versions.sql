-- What is left of each version of a definition, without reading the whole table.

-- +goose Up
-- One entry per saga, when it ends: what moves on while it is open writes no more than before. Of
-- entries that are alike, one in full stands for hundreds.
create index sagas_ended on sagas (definition, version) where deadline is null;

-- +goose Down
drop index sagas_ended;
