-- Who looks at the dead letters of one cause, and what is known of it, so that the next engineer on call does not begin again.

-- +goose Up
create table dead_letter_notes (
    consumer   text        collate "C" not null,
    topic      text        not null,
    type       text        not null,
    cause      text        not null,
    owner      text        not null default '',
    note       text        not null default '',
    changed_by text        not null,
    changed_at timestamptz not null default now(),
    revision   integer     not null default 0,
    primary key (consumer, topic, type, cause)
);

comment on table  dead_letter_notes is 'A note about all dead letters of one cause, also those to come. It is kept while there are any, and as long after its last change as they are.';
comment on column dead_letter_notes.owner is 'Who looks at them. Empty: nobody.';
comment on column dead_letter_notes.note is 'What is known, such as a ticket.';
comment on column dead_letter_notes.changed_by is 'The holder of the token who wrote it last.';
comment on column dead_letter_notes.revision is 'Grows with each change.';

-- +goose Down
drop table dead_letter_notes;
