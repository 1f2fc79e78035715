-- The service Orders, besides writer and consumer.
grant select, insert, update, delete on orders, order_requests to "ROLE";
grant select on goose_orders to "ROLE";
grant usage on orders_id_seq to "ROLE";
-- Jobs that operators ask it for.
grant select, insert, update, delete on job to "ROLE";
grant select, insert, update, delete on job_item to "ROLE";
-- How far the relay has come, for ORDERS_MAX_BACKLOG.
grant select on outbox_id_seq, outbox_cursor to "ROLE";
