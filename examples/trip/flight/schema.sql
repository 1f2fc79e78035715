create table flights (
    number      text primary key,
    destination text not null,
    free        int  not null check (free >= 0)
);
create table bookings (
    trip      text primary key,
    flight    text not null references flights,
    traveller text not null
);
insert into flights values ('WB 17', 'Lisbon', 100), ('WB 18', 'Oslo', 100);
