-- No order id is given out twice, also after a failover.

-- +goose Up

-- On which timeline of its server the database last gave ids out. A promoted standby and a restore to a point in time begin
-- a new timeline, and may lack the last orders with the last numbers of the sequence. Others have heard of those ids.
create table orders_timeline (
    timeline bigint      not null,
    since    timestamptz not null default now()
);
create unique index orders_timeline_one on orders_timeline ((true));

-- +goose StatementBegin
do $$
begin
    insert into orders_timeline (timeline) values (('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint);
exception when others then
    insert into orders_timeline (timeline) values (0); -- the server does not report its log position
end
$$;
-- +goose StatementEnd

comment on table orders_timeline is 'One row: the timeline of the server that ids of orders were last given out on; see orders_begin_session.';

-- Each session of Orders begins with it, so that no id is given out before it has seen the timeline. The first session on a new one skips a
-- million ids; those that come at the same time wait for it. It runs with the rights of its owner: the service cannot set the sequence.
-- Where the server does not report its log position, nothing is done.
-- +goose StatementBegin
do $do$
begin
    execute format($function$
create function orders_begin_session() returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    seq    constant regclass := pg_get_serial_sequence('%1$I.orders', 'id');
    is_now bigint;
begin
    if pg_is_in_recovery() then
        return;
    end if;
    begin
        is_now := ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint;
    exception when others then
        return;
    end;
    perform from %1$I.orders_timeline where timeline = is_now;
    if found then
        return;
    end if;
    update %1$I.orders_timeline set timeline = is_now, since = now() where timeline <> is_now;
    if found then
        perform setval(seq, nextval(seq) + 1000000);
    end if;
end
$$
$function$, current_schema());
end
$do$;
-- +goose StatementEnd

-- +goose Down
drop function orders_begin_session();
drop table orders_timeline;
