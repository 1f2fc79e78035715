create table rooms (
    number int  primary key,
    city   text not null,
    trip   text, -- who has it
    guest  text
);
insert into rooms (number, city) select n, 'Lisbon' from generate_series(101, 110) n;
