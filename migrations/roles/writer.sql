-- A service that only sends messages. Not the id and not created_at: with an id of its own choice a writer could have
-- its rows published out of order, or again and again.
grant insert (event_id, topic, key, type, payload, headers) on outbox to "ROLE";
grant select on goose_outbox to "ROLE";
