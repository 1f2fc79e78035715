-- Readers: the orchestrator in its own database (for explain), the audit, a person. The payloads are in the outbox, so this is a right to read them all.
grant select on outbox, outbox_id_seq, outbox_cursor, outbox_stuck, outbox_closed, outbox_replay, outbox_status, audit_log, audit_log_head,
    outbox_gap_holders, inbox, consumer_positions, dead_letters, parked_keys, dead_letter_notes, job, job_item, goose_outbox to "ROLE";
