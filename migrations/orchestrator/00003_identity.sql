-- A saga is identified by its definition and its id; versions of definitions are remembered; a saga that a person
-- should look at says why.

-- +goose Up

alter domain saga_phase drop constraint sagas_phase;
alter domain saga_phase add constraint sagas_phase
      check (value in ('RUNNING', 'COMPENSATING', 'COMPENSATION_STUCK', 'PARKED', 'AWAITING_START',
                       'COMPLETED', 'CANCELLED', 'NOT_STARTED'));

drop view saga_deadlines;
drop index sagas_in_trouble;

alter table sagas
    drop constraint sagas_open,
    drop constraint sagas_pkey,
    alter column definition type text collate "C",
    add column start_id  uuid,
    add column partition integer,
    add column extra     jsonb,
    add column trouble   text,
    add constraint sagas_pkey primary key (id, definition),
    -- Whatever has not ended will act, and so will one for which a message is held.
    add constraint sagas_open check
        ((deadline is null) = (phase in ('COMPLETED', 'CANCELLED', 'NOT_STARTED') and held is null));

update sagas set trouble = case phase when 'PARKED' then 'its definition is not registered' else 'an undo has used up its attempts' end
 where phase in ('COMPENSATION_STUCK', 'PARKED');

-- Empty while no saga needs an operator.
create index sagas_in_trouble on sagas (started_at, id) where trouble is not null;

comment on column sagas.start_id is 'The message that began it: another one of its type is a conflict. Null: it began before this was kept, or not yet.';
comment on column sagas.partition is 'The Kafka partition of the message that began it: the saga''s other messages come on the same one.';
comment on column sagas.extra is 'What few sagas have: until when a start is waited for, whether a cancellation was refused.';
comment on column sagas.trouble is 'Why a person should look at it; null where nobody need.';
comment on column sagas.held is 'Messages that came where the definition is not registered.';

alter table saga_transitions add column definition text collate "C";
update saga_transitions t set definition = s.definition from sagas s where s.id = t.saga_id;
delete from saga_transitions where definition is null; -- of no saga
alter table saga_transitions
    drop constraint saga_transitions_pkey,
    alter column definition set not null,
    add constraint saga_transitions_pkey primary key (saga_id, definition, seq);

create view saga_deadlines as
select s.id as saga_id, s.definition, s.state, w.n - 1 as step_index,
       w.step ->> 'status' = 'undoing' as undo,
       coalesce((w.step ->> 'attempt')::integer, 0) as attempts,
       (w.step ->> 'deadline')::timestamptz as due_at
  from sagas s
 cross join lateral jsonb_array_elements(s.steps) with ordinality as w (step, n)
 where s.deadline is not null
   and w.step ->> 'status' in ('waiting', 'undoing');

-- What each version was when it was first run.
create table saga_definitions (
    name          text        collate "C" not null,
    version       integer     not null constraint saga_definitions_version_positive check (version > 0),
    fingerprint   text        not null,
    first_seen_at timestamptz not null default now(),
    primary key (name, version)
);

comment on table saga_definitions is 'The structure of each version of a definition, so that one that was changed under its number is noticed.';

-- +goose Down
drop table saga_definitions;
drop view saga_deadlines;
delete from saga_transitions t using sagas s where s.id = t.saga_id and s.phase in ('AWAITING_START', 'NOT_STARTED');
delete from sagas where phase in ('AWAITING_START', 'NOT_STARTED');
update sagas set held = null, deadline = null where phase in ('COMPLETED', 'CANCELLED');
-- Fails where two definitions have a saga of one id: there is no way back for those.
alter table saga_transitions drop constraint saga_transitions_pkey, drop column definition,
    add constraint saga_transitions_pkey primary key (saga_id, seq);
drop index sagas_in_trouble;
alter table sagas drop constraint sagas_open, drop constraint sagas_pkey,
    drop column start_id, drop column partition, drop column extra, drop column trouble,
    add constraint sagas_pkey primary key (id),
    add constraint sagas_open check ((deadline is null) = (phase in ('COMPLETED', 'CANCELLED')));
create index sagas_in_trouble on sagas (phase, started_at, id) where phase in ('COMPENSATION_STUCK', 'PARKED');
alter domain saga_phase drop constraint sagas_phase;
alter domain saga_phase add constraint sagas_phase
      check (value in ('RUNNING', 'COMPENSATING', 'COMPENSATION_STUCK', 'PARKED', 'COMPLETED', 'CANCELLED'));
create view saga_deadlines as
select s.id as saga_id, s.definition, s.state, w.n - 1 as step_index,
       w.step ->> 'status' = 'undoing' as undo,
       coalesce((w.step ->> 'attempt')::integer, 0) as attempts,
       (w.step ->> 'deadline')::timestamptz as due_at
  from sagas s
 cross join lateral jsonb_array_elements(s.steps) with ordinality as w (step, n)
 where s.deadline is not null
   and w.step ->> 'status' in ('waiting', 'undoing');
