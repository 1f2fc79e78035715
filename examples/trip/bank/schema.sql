create table accounts (
    card  text   primary key,
    cents bigint not null constraint accounts_covered check (cents >= 0)
);
create table payments (
    saga  text   primary key,
    card  text   not null references accounts,
    cents bigint not null
);
insert into accounts values ('4242', 1000000), ('0001', 100);
