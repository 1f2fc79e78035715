-- Jobs: what an operator asks for of many things at once, done at a bounded rate and one item at a time. Every item has
-- its result, and a process that dies takes none with it.

-- +goose Up
create table job (
    id          bigint generated always as identity primary key,
    kind        text             not null check (kind <> ''),
    parameters  jsonb            not null,
    actor       text             not null check (actor <> ''),
    reason      text             not null check (reason <> ''),
    rate        double precision not null check (rate > 0), -- items per second, at most
    state       text             not null default 'queued'
                check (state in ('queued', 'running', 'paused', 'cancelled', 'finished', 'failed')),
    revision    int              not null default 1, -- goes up with what operators change and see change: the state
    total       int              not null check (total >= 0),
    done        int              not null default 0,
    no_effect   int              not null default 0,
    refused     int              not null default 0,
    error       text, -- why it failed, or what it waits for
    created_at  timestamptz      not null default now(),
    started_at  timestamptz,
    ended_at    timestamptz,
    worker      uuid, -- the process that works on it
    lease_until timestamptz, -- another may take it over from then on
    check (done + no_effect + refused <= total),
    check ((state in ('cancelled', 'finished', 'failed')) = (ended_at is not null)),
    check (state <> 'running' or worker is not null and lease_until is not null)
);
create index job_open on job (id) where state in ('queued', 'running', 'paused');
create index job_ended on job (ended_at) where ended_at is not null;
comment on table job is 'What operators asked for of many things at once: see job_item.';

create table job_item (
    job_id bigint not null references job on delete cascade,
    n      int    not null, -- the order in which they are worked on
    item   text   not null, -- what it is, as the job's kind names it
    result text   check (result in ('done', 'no_effect', 'refused')), -- null: its turn has not come
    detail text, -- why there was no effect, or it was refused
    at     timestamptz,
    primary key (job_id, n),
    unique (job_id, item),
    check ((result is null) = (at is null))
);
comment on table job_item is 'One thing that a job is about. Its result is written in the transaction of its effect.';

-- +goose Down
drop table job_item;
drop table job;
