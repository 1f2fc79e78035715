-- A service that carries out commands of sagas with the participant kit or its functions in SQL,
-- besides writer, and besides consumer for the kit in Go.
grant select, insert, update, delete on participant_steps to "ROLE";
grant select on goose_participant to "ROLE";
