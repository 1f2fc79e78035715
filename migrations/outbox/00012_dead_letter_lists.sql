-- Lists of dead letters, newest first, which must not read what was closed in the months that it is kept for.

-- +goose Up
-- State comes last: of many that are parked, those that are dead are found in the index.
create index dead_letters_newest on dead_letters (id, state) where state in ('dead', 'parked');
-- Written once, when a dead letter is closed.
create index dead_letters_newest_closed on dead_letters (state, id) where state in ('redriven', 'discarded', 'superseded');

-- +goose Down
drop index dead_letters_newest_closed;
drop index dead_letters_newest;
