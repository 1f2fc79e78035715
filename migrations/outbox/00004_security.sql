-- What runs in other people's statements looks names up in pg_catalog only, and what was recorded stays.

-- +goose Up

-- A function that runs in somebody else's statement finds operators and functions where that session looks: one that
-- fits better than Postgres' own (CVE-2018-1058) would run with the rights of the role that inserts or publishes. (outbox_fits is called per row, and names types instead.)
alter function outbox_wake() set search_path = pg_catalog, pg_temp;
alter function outbox_id_at(timestamptz) set search_path from current; -- the table's; its operators are of exactly their types
alter function outbox_refuse_truncate() set search_path = pg_catalog, pg_temp;
alter function inbox_expect(bigint, bigint) set search_path = pg_catalog, pg_temp;
alter function inbox_expect_positions(bigint, bigint) set search_path = pg_catalog, pg_temp;

-- Who it was, besides who it said it was.
alter table outbox_audit
    add column db_role text not null default session_user,
    add column client  inet          default inet_client_addr();

comment on column outbox_audit.actor is 'The holder of the token, or the user of the operating system and who they say they are.';
comment on column outbox_audit.db_role is 'The login of the session that did it.';
comment on column outbox_audit.client is 'The address that it came from; null: a socket of the same machine.';

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

-- +goose Down
drop trigger outbox_audit_stays on outbox_audit;
drop function outbox_audit_stays();
alter table outbox_audit drop column db_role, drop column client;
alter function outbox_wake() reset search_path;
alter function outbox_id_at(timestamptz) reset search_path;
alter function outbox_refuse_truncate() reset search_path;
alter function inbox_expect(bigint, bigint) reset search_path;
alter function inbox_expect_positions(bigint, bigint) reset search_path;
