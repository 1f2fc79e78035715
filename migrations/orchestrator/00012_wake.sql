-- A saga's steps write its row in place: no indexed column changes with them.

-- +goose Up

-- An update that changes a column of any index writes into all of them. The deadline changes with each step, so what the
-- poller finds sagas by is a column of its own, which need not: it is never later than the deadline, it is null once the
-- saga has ended, and where it is too early, the poller moves it to the deadline when it comes by (decision 117). A row
-- that is written by hand is looked at at once.
alter table sagas add column wake_at timestamptz default '-infinity';
update sagas set wake_at = deadline;

comment on column sagas.wake_at is 'When the poller looks at the saga: at its deadline, or before. Null: it has ended.';

drop index sagas_open;
create index sagas_open on sagas (wake_at) where wake_at is not null;
drop index sagas_retrying;
create index sagas_retrying on sagas (started_at, id) where wake_at is not null and attempt > 1;

-- Room in its page for a saga's next version.
alter table sagas set (fillfactor = 60);

-- Steps are written and read as a whole, by each step: as json their text is kept as it is.
drop view saga_deadlines;
create domain saga_progress as json constraint sagas_steps_list check (json_typeof(value) = 'array');
alter table sagas alter column steps type saga_progress using steps::text::json;
drop domain saga_steps;
alter domain saga_progress rename to saga_steps;

create view saga_deadlines as
select s.id as saga_id, s.definition, s.state, w.n - 1 as step_index,
       w.step ->> 'status' = 'undoing' as undo,
       coalesce((w.step ->> 'attempt')::integer, 0) as attempts,
       (w.step ->> 'deadline')::timestamptz as due_at
  from sagas s
 cross join lateral json_array_elements(s.steps) with ordinality as w (step, n)
 where s.wake_at is not null and s.deadline is not null
   and not (s.phase = 'SUSPENDED' and s.deadline = 'infinity')
   and w.step ->> 'status' in ('waiting', 'undoing');

-- +goose Down
drop view saga_deadlines;
create domain saga_progress as jsonb constraint sagas_steps_list check (jsonb_typeof(value) = 'array');
alter table sagas alter column steps type saga_progress using steps::text::jsonb;
drop domain saga_steps;
alter domain saga_progress rename to saga_steps;
alter table sagas reset (fillfactor);
drop index sagas_retrying;
drop index sagas_open;
alter table sagas drop column wake_at;
create index sagas_open on sagas (deadline) where deadline is not null;
create index sagas_retrying on sagas (started_at, id) where deadline is not null and attempt > 1;
create view saga_deadlines as
select s.id as saga_id, s.definition, s.state, w.n - 1 as step_index,
       w.step ->> 'status' = 'undoing' as undo,
       coalesce((w.step ->> 'attempt')::integer, 0) as attempts,
       (w.step ->> 'deadline')::timestamptz as due_at
  from sagas s
 cross join lateral jsonb_array_elements(s.steps) with ordinality as w (step, n)
 where s.deadline is not null
   and not (s.phase = 'SUSPENDED' and s.deadline = 'infinity')
   and w.step ->> 'status' in ('waiting', 'undoing');
