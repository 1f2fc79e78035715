-- One database a service. Postgres runs this once, when its volume is new.
create database orders;
create database inventory;
create database orchestrator;
