-- A service that handles messages: it remembers them, and how far it has read. It needs the writer's grants for its
-- answers and its dead letters.
grant select, insert, delete on inbox to "ROLE";
grant select, insert, update on consumer_positions to "ROLE";
grant select on goose_outbox to "ROLE";
