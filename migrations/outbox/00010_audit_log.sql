-- One audit log per database: who changed what, why, from where, and what came of it. Each entry has the hash of the
-- entry before it, so that one that was changed, removed or put in between is found (Crosby and Wallach, "Efficient Data
-- Structures for Tamper-Evident Logging", 2009, section 2: the hash chain; the package chassis/auditlog checks it).

-- +goose Up
create table audit_log (
    seq       bigint      primary key,
    at        timestamptz not null,
    actor     text        not null constraint audit_log_actor_present check (actor <> ''),
    client    text        not null default '',
    db_role   text        not null,
    db_client text        not null,
    action    text        not null constraint audit_log_action check (action ~ '^[a-z-]+(\.[a-z-]+)?$'),
    object    text        not null constraint audit_log_object_present check (object <> ''),
    reason    text        not null default '',
    before    json,
    after     json,
    result    text        not null default '',
    previous  bytea       not null,
    hash      bytea       not null
);
create index audit_log_object on audit_log (object, seq);

comment on table  audit_log is 'What operators changed. Entries are added and never changed; each is chained to the one before it.';
comment on column audit_log.seq is 'From 1, without gaps.';
comment on column audit_log.actor is 'The holder of the token, or the user of the operating system and who they say they are.';
comment on column audit_log.client is 'Where the request came from, as the service saw it; empty: a command on the machine itself.';
comment on column audit_log.db_role is 'The login of the session that recorded it.';
comment on column audit_log.db_client is 'The address of that session; empty: a socket of the same machine.';
comment on column audit_log.object is 'What was changed: outbox/17, saga/order/4711, stock/burger.';
comment on column audit_log.before is 'What it was before, where that is known. json and not jsonb: the text is hashed as it is.';
comment on column audit_log.hash is 'SHA-256 over previous and the other columns; see audit_log_chain.';

-- Where the chain ends. Its row lock puts entries in order, until their transactions end.
create table audit_log_head (
    one  boolean primary key default true constraint audit_log_head_one check (one),
    seq  bigint  not null,
    hash bytea   not null
);
insert into audit_log_head (seq, hash) values (0, '\x');

-- Runs with the rights of its owner: those who add entries must not be able to move the head.
-- +goose StatementBegin
create function audit_log_chain() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    head record;
begin
    execute format('select seq, hash from %I.audit_log_head for update', tg_table_schema) into strict head;
    new.seq       := head.seq + 1;
    new.previous  := head.hash;
    new.at        := clock_timestamp();
    new.db_role   := session_user;
    new.db_client := coalesce(host(inet_client_addr()), '');
    new.hash      := sha256(new.previous || convert_to((
        select string_agg(coalesce(octet_length(field) || ':' || field, '-'), ',' order by n)
          from unnest(array[
            new.seq::text, (extract(epoch from new.at) * 1000000)::bigint::text, new.actor, new.client, new.db_role, new.db_client,
            new.action, new.object, new.reason, new.before::text, new.after::text, new.result
          ]) with ordinality as fields (field, n)), 'UTF8'));
    execute format('update %I.audit_log_head set seq = $1, hash = $2', tg_table_schema) using new.seq, new.hash;
    return new;
end
$$;
-- +goose StatementEnd
revoke execute on function audit_log_chain() from public;
create trigger audit_log_chain before insert on audit_log for each row execute function audit_log_chain();

-- +goose StatementBegin
create function audit_log_stays() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise insufficient_privilege using message = 'what audit_log has recorded is not changed and not deleted';
end
$$;
-- +goose StatementEnd
create trigger audit_log_stays before update or delete or truncate on audit_log
    for each statement execute function audit_log_stays();

-- What the relay recorded so far.
insert into audit_log (actor, client, action, object, reason, result)
select actor, coalesce(host(client), ''), 'outbox.' || action, coalesce('outbox/' || (details ->> 'id'), 'outbox'), reason,
       format('done at %s by %s, before this log began: %s', at, db_role, details)
  from outbox_audit order by id;
drop table outbox_audit;
drop function outbox_audit_stays();

-- +goose Down
create table outbox_audit (
    id      bigint      generated always as identity primary key,
    at      timestamptz not null default now(),
    actor   text        not null constraint outbox_audit_actor_present check (actor <> ''),
    action  text        not null constraint outbox_audit_action
            check (action in ('retry', 'discard', 'replay', 'replay-cancel', 'pause', 'resume')),
    reason  text        not null default '',
    details jsonb       not null default '{}',
    db_role text        not null default session_user,
    client  inet        default inet_client_addr()
);
-- +goose StatementBegin
create function outbox_audit_stays() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise insufficient_privilege using message = 'what outbox_audit has recorded is not changed and not deleted',
        hint = 'To remove entries of a time that need not be kept, its owner disables the trigger: '
               'alter table outbox_audit disable trigger outbox_audit_stays';
end
$$;
-- +goose StatementEnd
create trigger outbox_audit_stays before update or delete or truncate on outbox_audit
    for each statement execute function outbox_audit_stays();
drop table audit_log;
drop table audit_log_head;
drop function audit_log_chain();
drop function audit_log_stays();
