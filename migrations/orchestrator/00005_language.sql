-- The states of sagas by the names that the rest of the field has for them, and their search attributes.

-- +goose Up

alter domain saga_phase drop constraint sagas_phase;
update sagas set phase = 'SUSPENDED' where phase = 'PARKED';
update sagas set state = 'SUSPENDED' where state = 'PARKED';
alter domain saga_phase add constraint sagas_phase
      check (value in ('RUNNING', 'COMPENSATING', 'COMPENSATION_STUCK', 'SUSPENDED', 'AWAITING_START',
                       'COMPLETED', 'CANCELLED', 'NOT_STARTED'));

alter table sagas rename column parked_from to suspended_from;
update sagas set steps = replace(replace(steps::text, '"blind": ', '"unconfirmed": '), '"late": ', '"lateSuccess": ')::jsonb
 where steps::text like '%"blind": %' or steps::text like '%"late": %';

comment on column sagas.suspended_from is 'The phase of a SUSPENDED saga before its definition went missing.';

alter table saga_transitions disable trigger saga_transitions_stay;
update saga_transitions
   set kind = case kind when 'parked' then 'suspended' when 'unparked' then 'resumed' when 'late_reply' then 'late_success' else kind end,
       from_state = case from_state when 'PARKED' then 'SUSPENDED' else from_state end,
       to_state = case to_state when 'PARKED' then 'SUSPENDED' else to_state end
 where kind in ('parked', 'unparked', 'late_reply') or 'PARKED' in (from_state, to_state);
alter table saga_transitions enable trigger saga_transitions_stay;

-- Rows of their own, and not a column of sagas: they change seldom, and a row of sagas with each step.
create table saga_attributes (
    saga_id    text        collate "C" not null,
    definition text        collate "C" not null,
    name       text        collate "C" not null,
    value      text        collate "C" not null,
    started_at timestamptz not null,
    primary key (saga_id, definition, name)
);
create index saga_attributes_search on saga_attributes (name, value, started_at, saga_id, definition);

comment on table saga_attributes is 'The search attributes of sagas, which their definitions derive from the data.';
comment on column saga_attributes.started_at is 'When the saga began: sagas are listed in this order.';

-- +goose Down
drop table saga_attributes;
alter table saga_transitions disable trigger saga_transitions_stay;
update saga_transitions
   set kind = case kind when 'suspended' then 'parked' when 'late_success' then 'late_reply' when 'resumed' then
              case from_state when 'SUSPENDED' then 'unparked' else kind end else kind end,
       from_state = case from_state when 'SUSPENDED' then 'PARKED' else from_state end,
       to_state = case to_state when 'SUSPENDED' then 'PARKED' else to_state end
 where kind in ('suspended', 'resumed', 'late_success') or 'SUSPENDED' in (from_state, to_state);
alter table saga_transitions enable trigger saga_transitions_stay;

update sagas set steps = replace(replace(steps::text, '"unconfirmed": ', '"blind": '), '"lateSuccess": ', '"late": ')::jsonb
 where steps::text like '%"unconfirmed": %' or steps::text like '%"lateSuccess": %';
alter table sagas rename column suspended_from to parked_from;
alter domain saga_phase drop constraint sagas_phase;
update sagas set phase = 'PARKED' where phase = 'SUSPENDED';
update sagas set state = 'PARKED' where state = 'SUSPENDED';
alter domain saga_phase add constraint sagas_phase
      check (value in ('RUNNING', 'COMPENSATING', 'COMPENSATION_STUCK', 'PARKED', 'AWAITING_START',
                       'COMPLETED', 'CANCELLED', 'NOT_STARTED'));
