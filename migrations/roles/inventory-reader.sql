-- Explain, in the database of Inventory, besides reader.
grant select on stock, reservations to "ROLE";
