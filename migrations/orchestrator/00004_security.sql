-- What happened to a saga, interventions included, is not changed, and goes only with a saga that has ended.

-- +goose Up

-- +goose StatementBegin
create function saga_transitions_stay() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    left_behind boolean := true;
begin
    if tg_op = 'DELETE' then
        -- Retention deletes both in one statement, at whose end this runs.
        execute format('select exists (select from gone join %I.sagas s on s.id = gone.saga_id and s.definition = gone.definition)', tg_table_schema)
           into left_behind;
    end if;
    if left_behind then
        raise insufficient_privilege using message = 'what saga_transitions has recorded is not changed, and deleted with its saga only',
            hint = 'Histories go SAGA_RETENTION after their sagas have ended.';
    end if;
    return null;
end
$$;

create function sagas_open_stay() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise insufficient_privilege using message = format('saga %s has not ended and is not deleted', old.id),
        hint = 'To end it: orchestrator saga cancel, or saga force.';
end
$$;
-- +goose StatementEnd

create trigger saga_transitions_stay before update or truncate on saga_transitions
    for each statement execute function saga_transitions_stay();
create trigger saga_transitions_go after delete on saga_transitions referencing old table as gone
    for each statement execute function saga_transitions_stay();
create trigger sagas_open_stay before delete on sagas
    for each row when (old.deadline is not null) execute function sagas_open_stay();

-- +goose Down
drop trigger sagas_open_stay on sagas;
drop trigger saga_transitions_go on saga_transitions;
drop trigger saga_transitions_stay on saga_transitions;
drop function sagas_open_stay();
drop function saga_transitions_stay();
