-- A topic that is refused as a whole is one stuck row, behind which all rows of the topic park, also those without a key.

-- +goose Up

alter table outbox_stuck add column whole_topic boolean not null default false;
alter table outbox_stuck drop constraint outbox_stuck_parked;
alter table outbox_stuck add constraint outbox_stuck_parked check (not parked or next_attempt_at is null);

create index outbox_stuck_parked_topic on outbox_stuck (topic, outbox_id) where parked;
create index outbox_stuck_whole_topic on outbox_stuck (topic) where whole_topic;

comment on column outbox_stuck.parked is
    'Not refused itself: it waits behind an earlier row of its topic and key, or for its topic, whose broker takes no rows now.';
comment on column outbox_stuck.whole_topic is 'The topic was refused, not the row: all rows of the topic wait for this one.';

-- +goose Down
drop index outbox_stuck_whole_topic;
drop index outbox_stuck_parked_topic;
delete from outbox_stuck where parked and key is null;
alter table outbox_stuck drop constraint outbox_stuck_parked;
alter table outbox_stuck add constraint outbox_stuck_parked check (not parked or (key is not null and next_attempt_at is null));
alter table outbox_stuck drop column whole_topic;
