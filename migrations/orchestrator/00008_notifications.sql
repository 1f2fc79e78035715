-- What needs a person: found by the orchestrator, reported to a webhook.

-- +goose Up

-- Which instance looks, and when it last did.
create table notification_pass (
    one boolean     primary key default true constraint notification_pass_one check (one),
    at  timestamptz not null default '-infinity'
);
insert into notification_pass default values;

-- A cause for which somebody is needed, as long as it lasts.
create table notification_episodes (
    key       text        primary key,
    source    text        not null,
    subject   text        not null,
    since     timestamptz not null,
    count     bigint      not null,
    announced bigint      not null default 0
);

comment on table notification_episodes is 'Causes for which a person is needed, until they are gone.';
comment on column notification_episodes.since is 'When it was first found.';
comment on column notification_episodes.announced is 'The count that was reported last; 0: it has not lasted long enough to be reported.';

-- An outbox of its own: what is reported is recorded with the episode, and sent until it is taken.
create table notifications (
    id              uuid        primary key,
    type            text        not null,
    subject         text        not null,
    event           json        not null,
    created_at      timestamptz not null default now(),
    attempts        integer     not null default 0,
    next_attempt_at timestamptz not null default now(),
    sent_at         timestamptz,
    error           text        not null default ''
);
create index notifications_due on notifications (next_attempt_at) where sent_at is null;
create index notifications_created on notifications (created_at, id);

comment on table notifications is 'CloudEvents for the webhook.';
comment on column notifications.event is 'json and not jsonb: the text is signed, and is the same each time it is sent.';
comment on column notifications.next_attempt_at is 'Infinity: it was given up.';
comment on column notifications.error is 'Why the last attempt failed.';

-- +goose Down
drop table notifications;
drop table notification_episodes;
drop table notification_pass;
