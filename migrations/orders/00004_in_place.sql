-- An order's change of status writes its row in place: no indexed column changes with it.

-- +goose Up

-- An update that changes a column of any index writes into all of them, and each order has one such update. So a list by
-- status reads the orders, a bounded part of them for each page (decision 136), and their pages have room for the next
-- version of each row.
drop index orders_status;
alter table orders set (fillfactor = 50);

-- +goose Down
alter table orders reset (fillfactor);
create index orders_status on orders (status, id);
