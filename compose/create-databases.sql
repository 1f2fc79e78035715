-- One database a service, and the logins of those who use it. Postgres runs this once, when its volume is new; the
-- one-shot services grant the logins what they need, after the migrations (migrate up --grant).
create database orders;
create role orders_service login password 'orders_service';
create role orders_relay login password 'orders_relay';

create database inventory;
create role inventory_service login password 'inventory_service';
create role inventory_relay login password 'inventory_relay';

create database orchestrator;
create role orchestrator_service login password 'orchestrator_service';
create role orchestrator_relay login password 'orchestrator_relay';
