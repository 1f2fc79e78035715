-- The service Inventory, besides writer and consumer.
grant select, insert, update, delete on stock, reservations, stock_requests to "ROLE";
-- What was logged stays.
grant select, insert on stock_movements to "ROLE";
grant select on stock_audit, reservation_lines, goose_inventory to "ROLE";
-- Jobs that operators ask it for.
grant select, insert, update, delete on job to "ROLE";
grant select, insert, update, delete on job_item to "ROLE";
