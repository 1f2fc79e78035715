-- The orchestrator, besides writer, consumer and reader.
grant select, insert, update, delete on sagas, saga_attributes, saga_definitions to "ROLE";
grant select, insert, delete on saga_transitions to "ROLE";
grant select on goose_orchestrator to "ROLE";
grant select on saga_deadlines to "ROLE";
-- Notifications of what needs a person.
grant select, insert, update, delete on notifications, notification_episodes, notification_pass to "ROLE";
-- Jobs that operators ask it for.
grant select, insert, update, delete on job to "ROLE";
grant select, insert, update, delete on job_item to "ROLE";
