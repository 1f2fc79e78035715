-- The car rental's own table. Waybill's come from: migrate up --database … outbox participant
create table cars (
    plate text primary key,
    class text not null,
    saga  text -- who has it
);
