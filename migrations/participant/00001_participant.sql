-- What a participant has done for sagas, so that a command is carried out once per saga and step
-- however often and in whatever order it and its undo arrive; and the same contract as functions,
-- for participants in any language.
--
-- Needs the set "outbox" in the same database. Answers go through its table outbox.
--
-- A participant in any language, in one transaction per command:
--
--     select participant_begin(step, command)             'do', 'undo' or 'answered'
--       do:    carry the command out, then
--              select participant_finish(step, command, reply)     or participant_refuse(step, command, reason)
--       undo:  take back what was done, then
--              select participant_finish(step, command)
--       answered: nothing; the answer is in the outbox
--
-- step    {"topic": "hotel.v1", "do": "ReserveRoom", "done": "RoomReserved", "refused": "RoomRefused",
--          "undo": "ReleaseRoom", "undone": "RoomReleased"}: what is fixed. undo and undone, or refused, may be left out.
-- command {"id": ce_id, "type": ce_type, "key": the Kafka key, "saga": the header waybill-saga, "traceparent": ...}: what
--         was received. saga and traceparent may be left out.
--
-- An error of these functions is raised like any other: roll back, and handle the command again
-- later if it is a serialization failure (40001), a deadlock (40P01) or a connection's error.

-- +goose Up

-- One row for each step of a saga that asked for something here, or asked for its undo before it
-- asked.
create table participant_steps (
    saga       text        collate "C" not null,
    step       text        collate "C" not null,
    state      text        not null,
    -- The answer to the command, from now on. Null: undone, and nobody has asked since.
    reply_type text,
    reply      bytea,
    -- The answer to the undo.
    undo_type  text,
    undo_reply bytea,
    decided_at timestamptz not null default now(),
    undone_at  timestamptz,
    primary key (saga, step),
    constraint participant_steps_state check (state in ('DONE', 'REFUSED', 'UNDONE')),
    constraint participant_steps_answers check (
        (reply_type is null) = (reply is null) and (undo_type is null) = (undo_reply is null)
        and (state = 'UNDONE') = (undo_type is not null) and (state = 'UNDONE') = (undone_at is not null)
        and (reply_type is not null or state = 'UNDONE'))
) with (
    -- Old rows are deleted in bulk; the file is never shortened, which would lock writers out.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 10000,
    vacuum_truncate = off
);

-- For deleting old rows; next to nothing to maintain.
create index participant_steps_decided on participant_steps using brin (decided_at);

comment on table participant_steps is 'What this service has done for each step of a saga: a command that comes again is answered from here.';
comment on column participant_steps.saga is 'Definition and id (trip/17), or the id alone where commands do not name the definition.';
comment on column participant_steps.step is 'The type of the command that carries the step out; its undo belongs to the same step.';
comment on column participant_steps.state is
    'DONE and REFUSED say what became of the command. UNDONE: taken back, or asked to be before it was done. Final.';

-- The id of the event that says what became of a step: a function of the saga, the step and the
-- event's type (cloudevents.EventID in Go; a version 8 UUID, RFC 9562).
-- +goose StatementBegin
create function participant_event_id(saga text, step text, type text) returns uuid
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
declare
    name bytea := '';
    part text;
    id   bytea;
begin
    foreach part in array array[saga, step, type] loop
        name := name || int4send(octet_length(part)) || convert_to(part, 'UTF8');
    end loop;
    id := substring(sha256(name) from 1 for 16);
    id := set_byte(id, 6, (get_byte(id, 6) & 15) | 128);
    id := set_byte(id, 8, (get_byte(id, 8) & 63) | 128);
    return encode(id, 'hex')::uuid;
end
$$;

-- The saga of a command: "trip/17" where the command names the definition, "17" where it does not.
create function participant_saga(command jsonb) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select coalesce(nullif(command ->> 'saga', '') || '/', '') || (command ->> 'key')
$$;

-- Appends an answer to the outbox. One that is sent for the first time has the command as its
-- cause; one that is sent again is the same event, and names the command that asked again in a
-- header of its own.
create function participant_answer(step jsonb, command jsonb, answer text, payload bytea, again boolean) returns void
language plpgsql set search_path from current as $$
begin
    insert into outbox (event_id, topic, key, type, payload, headers)
    values (participant_event_id(participant_saga(command), step ->> 'do', answer),
            step ->> 'topic', command ->> 'key', answer, payload,
            jsonb_build_object(case when again then 'waybill-in-reply-to' else 'ce_causationid' end, command ->> 'id')
            || case when coalesce(command ->> 'traceparent', '') = '' then '{}'::jsonb
                    else jsonb_build_object('traceparent', command ->> 'traceparent') end);
end
$$;

-- Raises what is wrong with the arguments, and returns whether the command is the step's undo.
create function participant_check(step jsonb, command jsonb) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    missing text;
begin
    select string_agg(name, ', ') into missing
      from (select 'step.' || n from unnest(array['topic', 'do', 'done']) n where coalesce(step ->> n, '') = ''
            union all
            select 'command.' || n from unnest(array['id', 'type', 'key']) n where coalesce(command ->> n, '') = ''
            union all
            select 'step.undone' where coalesce(step ->> 'undo', '') <> '' and coalesce(step ->> 'undone', '') = ''
            union all
            select 'step.refused' where coalesce(step ->> 'undo', '') <> '' and coalesce(step ->> 'refused', '') = ''
           ) as m (name);
    if missing is not null then
        raise invalid_parameter_value using message = 'missing: ' || missing;
    end if;
    if command ->> 'type' not in (step ->> 'do', coalesce(step ->> 'undo', '')) then
        raise invalid_parameter_value using message = format('%s is not a command of the step %s', command ->> 'type', step ->> 'do');
    end if;
    return command ->> 'type' <> step ->> 'do';
end
$$;

-- Stores and sends an answer that was not there before, if the step still is in the state that it
-- was in when that was decided (was; null: there was no row). A step that was not known then and is
-- now was decided by another transaction.
create function participant_record(step jsonb, command jsonb, was text, becomes text, answer text, payload bytea) returns void
language plpgsql set search_path from current as $$
declare
    known   text := participant_saga(command);
    changed bigint;
begin
    if was is null and becomes = 'UNDONE' then
        insert into participant_steps (saga, step, state, undo_type, undo_reply, undone_at)
        values (known, participant_record.step ->> 'do', becomes, answer, payload, now()) on conflict do nothing;
    elsif was is null then
        insert into participant_steps (saga, step, state, reply_type, reply)
        values (known, participant_record.step ->> 'do', becomes, answer, payload) on conflict do nothing;
    elsif becomes = 'UNDONE' then
        update participant_steps s -- a success is not the answer any more; a refusal stays it
           set state = becomes, undo_type = answer, undo_reply = payload, undone_at = now(),
               reply_type = case was when 'DONE' then null else s.reply_type end,
               reply = case was when 'DONE' then null else s.reply end
         where s.saga = known and s.step = participant_record.step ->> 'do' and s.state = was;
    else
        update participant_steps s set reply_type = answer, reply = payload
         where s.saga = known and s.step = participant_record.step ->> 'do' and s.state = was and s.reply_type is null;
    end if;
    get diagnostics changed = row_count;
    if changed = 0 then
        raise serialization_failure using message = format('%s of saga %s was answered already: another transaction was faster, or participant_begin was not called',
                                                           command ->> 'type', known);
    end if;
    perform participant_answer(step, command, answer, payload, false);
end
$$;

-- Says what is to be done for a command: 'do' it, 'undo' it, or nothing, because it was 'answered'
-- from what is known.
--
-- A row that exists is locked until the transaction ends. Where there is none, two transactions can
-- both get 'do', or 'do' and an undo that is recorded; the second to insert the row gets a
-- serialization failure, is rolled back, and finds what the first did when it tries again.
create function participant_begin(step jsonb, command jsonb) returns text
language plpgsql set search_path from current as $$
declare
    undoing boolean := participant_check(step, command);
    known   participant_steps;
begin
    select * into known from participant_steps s
     where s.saga = participant_saga(command) and s.step = participant_begin.step ->> 'do' for update;
    if not undoing then
        if known.reply_type is not null then
            perform participant_answer(step, command, known.reply_type, known.reply, true);
        elsif known.state = 'UNDONE' then
            perform participant_record(step, command, 'UNDONE', 'REFUSED', step ->> 'refused', '{"reason":"undone"}'); -- stays UNDONE
        else
            return 'do';
        end if;
    elsif known.state = 'UNDONE' then
        perform participant_answer(step, command, known.undo_type, known.undo_reply, true);
    elsif known.state = 'DONE' then
        return 'undo';
    else
        perform participant_record(step, command, known.state, 'UNDONE', step ->> 'undone', '{}');
    end if;
    return 'answered';
end
$$;

-- Records that the command was carried out, or the step taken back, and answers so. reply is the
-- body of the answer, JSON.
create function participant_finish(step jsonb, command jsonb, reply text default '{}') returns void
language plpgsql set search_path from current as $$
begin
    if participant_check(step, command) then
        perform participant_record(step, command, 'DONE', 'UNDONE', step ->> 'undone', convert_to(reply, 'UTF8'));
    else
        perform participant_record(step, command, null, 'DONE', step ->> 'done', convert_to(reply, 'UTF8'));
    end if;
end
$$;

-- Records that the command cannot be carried out, and answers with the reason: {"reason": "sold
-- out"}. What was done for the command before has to be rolled back, to a savepoint. An undo cannot
-- be refused.
create function participant_refuse(step jsonb, command jsonb, reason text) returns void
language plpgsql set search_path from current as $$
begin
    if participant_check(step, command) or coalesce(step ->> 'refused', '') = '' then
        raise invalid_parameter_value using message = format('%s cannot be refused', command ->> 'type');
    end if;
    perform participant_record(step, command, null, 'REFUSED', step ->> 'refused',
                               convert_to(json_build_object('reason', reason)::text, 'UTF8'));
end
$$;

-- +goose StatementEnd

comment on function participant_begin is 'What is to be done for a command: do, undo, or nothing more (answered).';
comment on function participant_finish is 'Records that a command was carried out, or its step taken back, and answers so.';
comment on function participant_refuse is 'Records that a command cannot be carried out, and answers with the reason.';

-- +goose Down
drop function participant_begin(jsonb, jsonb);
drop function participant_refuse(jsonb, jsonb, text);
drop function participant_finish(jsonb, jsonb, text);
drop function participant_record(jsonb, jsonb, text, text, text, bytea);
drop function participant_answer(jsonb, jsonb, text, bytea, boolean);
drop function participant_check(jsonb, jsonb);
drop function participant_saga(jsonb);
drop function participant_event_id(text, text, text);
drop table participant_steps;
