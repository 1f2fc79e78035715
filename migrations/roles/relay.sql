-- The relay. It changes no row of the outbox and deletes those that have expired; what it does for operators it can
-- record, and neither change nor take back. No pg_signal_backend: members of that may end sessions in every database
-- of the server. A standby ends the frozen session of a leader without it if both log in as the same role.
grant select, delete on outbox to "ROLE";
grant select on outbox_id_seq, outbox_status, outbox_gap_holders, goose_outbox to "ROLE";
grant select, update on outbox_cursor to "ROLE";
grant select, insert, update, delete on outbox_stuck, outbox_closed, outbox_replay to "ROLE";
grant select, insert (actor, client, action, object, reason, before, after, result) on audit_log to "ROLE";
grant select, delete on inbox to "ROLE";
grant select on consumer_positions to "ROLE";
