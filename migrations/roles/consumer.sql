-- A service that handles messages: it remembers them, and how far it has read. It needs the writer's grants for its
-- answers and its dead letters.
grant select, insert, delete on inbox to "ROLE";
grant select, insert, update on consumer_positions to "ROLE";
-- What operators change by way of the service. It can record it, and neither change it nor take it back.
grant insert (actor, client, action, object, reason, before, after, result) on audit_log to "ROLE";
grant select on goose_outbox to "ROLE";
grant select, insert, update, delete on dead_letters, parked_keys, dead_letter_notes to "ROLE";
