-- Orders of several lines.

-- +goose Up

-- A column that is null for an order of one line, and not a table of lines: the ordinary order is one row as before, with
-- the same indexes, and not a byte larger (its row has a null bitmap anyway, which has room for 16 columns). Nothing looks
-- for orders by their lines.
create domain order_items as jsonb
    constraint orders_items_several check (jsonb_typeof(value) = 'array' and jsonb_array_length(value) between 2 and 100)
    constraint orders_items_lines check (not jsonb_path_exists(value,
        '$[*] ? (!(@.sku.type() == "string" && @.quantity.type() == "number" && @.quantity >= 1 && @.quantity <= 1000000))'));

-- An order has either sku and quantity or items. No check says so, because it would be parsed by every statement that
-- writes the table; one statement inserts orders, and the audit compares them with what is reserved.
alter table orders
    add column items order_items,
    alter column sku drop not null,
    alter column quantity drop not null;

comment on column orders.sku is 'What an order of one line is for; null where it has items.';
comment on column orders.items is 'The lines of an order of several: [{"sku": text, "quantity": integer}, …]. Null for one line.';

-- +goose Down
-- Fails while there are orders of several lines: nothing else knows what they are for.
alter table orders alter column sku set not null, alter column quantity set not null;
alter table orders drop column items;
drop domain order_items;
