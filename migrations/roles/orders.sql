-- The service Orders, besides writer and consumer.
grant select, insert, update, delete on orders, order_requests to "ROLE";
grant select on goose_orders to "ROLE";
grant usage on orders_id_seq to "ROLE";
