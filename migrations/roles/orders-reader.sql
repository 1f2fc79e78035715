-- Explain, in the database of Orders, besides reader.
grant select on orders to "ROLE";
