-- The sagas of an orchestrator and their histories.

-- +goose Up

-- What one column may hold stands in a domain and not in a check of the table: a table's checks are parsed again by
-- every statement that writes the table, which for a single row costs more than the row; a domain's once a session.
create domain saga_phase    as text    constraint sagas_phase
       check (value in ('RUNNING', 'COMPENSATING', 'COMPENSATION_STUCK', 'PARKED', 'COMPLETED', 'CANCELLED'));
create domain saga_version  as integer constraint sagas_version_positive  check (value > 0);
create domain saga_revision as integer constraint sagas_revision_positive check (value > 0);
create domain saga_steps    as jsonb   constraint sagas_steps_list        check (jsonb_typeof(value) = 'array');

-- One row per saga. Every step of a saga updates its row, so indexes are few: the primary key, the
-- deadlines of the sagas that have not ended, the order of their beginnings (lists, retention), and a
-- partial one that is empty while no saga needs an operator.
create table sagas (
    id          text          collate "C" primary key,
    definition  text          not null,
    version     saga_version  not null,
    phase       saga_phase    not null,
    state       text          not null,
    step        text          not null default '',
    attempt     integer       not null default 0,
    deadline    timestamptz,
    reason      text          not null default '',
    revision    saga_revision not null,
    stale       integer       not null default 0,
    stage       integer       not null default 0,
    steps       saga_steps    not null,
    data        jsonb         not null,
    parked_from text,
    held        jsonb,
    started_at  timestamptz   not null,
    updated_at  timestamptz   not null,
    ended_at    timestamptz,
    -- Whatever has not ended will act.
    constraint sagas_open check ((deadline is null) = (phase in ('COMPLETED', 'CANCELLED')))
) with (
    -- Each saga leaves a dead row version a step.
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 5000
);

create index sagas_open on sagas (deadline) where deadline is not null;
create index sagas_started on sagas (started_at, id);
create index sagas_in_trouble on sagas (phase, started_at, id) where phase in ('COMPENSATION_STUCK', 'PARKED');

comment on table sagas is 'Where each saga stands. Written by the engine alone; to change one by hand use the orchestrator''s interventions.';
comment on column sagas.id is 'The key of the saga''s messages; of an order saga, the order id.';
comment on column sagas.state is 'The phase, or the definition''s own name of the end that was reached.';
comment on column sagas.step is 'The steps that wait for a reply, separated by commas.';
comment on column sagas.deadline is 'When the saga acts unless a message comes first: the earliest of its waits. Infinity: nothing but a message moves it. Null: it has ended.';
comment on column sagas.revision is 'Transitions so far; every update names the one it saw.';
comment on column sagas.steps is 'Each step''s progress, in the definition''s order; see StepState in the package saga.';
comment on column sagas.data is 'What the definition keeps of the messages; commands are made from it.';
comment on column sagas.held is 'Messages that came while the definition was not registered.';

-- Append-only.
create table saga_transitions (
    saga_id    text        collate "C" not null,
    seq        integer     not null,
    at         timestamptz not null,
    kind       text        not null,
    from_state text        not null,
    to_state   text        not null,
    step       text        not null,
    cause_id   uuid,
    cause_type text        not null,
    actor      text        not null,
    note       text        not null,
    commands   jsonb       not null,
    primary key (saga_id, seq)
);

comment on table saga_transitions is 'What happened to each saga, why, and which commands were sent for it.';
comment on column saga_transitions.cause_id is 'The message that caused it; null for a deadline.';

-- What is being waited for, a row a wait. Moving or revoking one goes through the orchestrator.
create view saga_deadlines as
select s.id as saga_id, s.definition, s.state, w.n - 1 as step_index,
       w.step ->> 'status' = 'undoing' as undo,
       coalesce((w.step ->> 'attempt')::integer, 0) as attempts,
       (w.step ->> 'deadline')::timestamptz as due_at
  from sagas s
 cross join lateral jsonb_array_elements(s.steps) with ordinality as w (step, n)
 where s.deadline is not null
   and w.step ->> 'status' in ('waiting', 'undoing');

-- +goose Down
drop view saga_deadlines;
drop table saga_transitions;
drop table sagas;
drop domain saga_phase, saga_version, saga_revision, saga_steps;
