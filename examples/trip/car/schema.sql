create table cars (
    plate text primary key,
    class text not null,
    saga  text -- who has it
);
insert into cars (plate, class) select 'WB-' || n, 'small' from generate_series(1, 5) n;
