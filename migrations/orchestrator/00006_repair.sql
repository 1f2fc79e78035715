-- A version of a definition can be suspended as a whole, and what it looked like is kept beside its fingerprint.

-- +goose Up

alter table saga_definitions
    add column structure         jsonb,
    add column suspended_at      timestamptz,
    add column suspended_by      text,
    add column suspended_because text,
    add constraint saga_definitions_suspended check
        ((suspended_at is null) = (suspended_by is null) and (suspended_at is null) = (suspended_because is null));

comment on column saga_definitions.structure is 'Its steps and messages as they were when it was run last, so that a changed version can be compared with what its sagas were begun with. Null: it was not run since this is kept.';
comment on column saga_definitions.suspended_at is 'Since when an operator has its sagas do nothing: messages for them are held, their deadlines do not pass. Null: they run.';
comment on column sagas.suspended_from is 'The phase of a SUSPENDED saga before: its definition went missing or was suspended, or an operator suspended it.';
comment on column sagas.extra is 'What few sagas have: until when a start is waited for, whether a cancellation was refused, who suspended it and when.';
comment on column sagas.held is 'Messages that came while the saga, or its definition, was suspended or not registered.';

-- What a suspended saga waits for has no deadline while it is: the clock stands still.
create or replace view saga_deadlines as
select s.id as saga_id, s.definition, s.state, w.n - 1 as step_index,
       w.step ->> 'status' = 'undoing' as undo,
       coalesce((w.step ->> 'attempt')::integer, 0) as attempts,
       (w.step ->> 'deadline')::timestamptz as due_at
  from sagas s
 cross join lateral jsonb_array_elements(s.steps) with ordinality as w (step, n)
 where s.deadline is not null
   and not (s.phase = 'SUSPENDED' and s.deadline = 'infinity')
   and w.step ->> 'status' in ('waiting', 'undoing');

-- +goose Down
create or replace view saga_deadlines as
select s.id as saga_id, s.definition, s.state, w.n - 1 as step_index,
       w.step ->> 'status' = 'undoing' as undo,
       coalesce((w.step ->> 'attempt')::integer, 0) as attempts,
       (w.step ->> 'deadline')::timestamptz as due_at
  from sagas s
 cross join lateral jsonb_array_elements(s.steps) with ordinality as w (step, n)
 where s.deadline is not null
   and w.step ->> 'status' in ('waiting', 'undoing');
alter table saga_definitions
    drop constraint saga_definitions_suspended,
    drop column structure, drop column suspended_at, drop column suspended_by, drop column suspended_because;
