create table trips (
    id        bigint      generated always as identity primary key,
    traveller text        not null,
    wish      jsonb       not null,
    placed_at timestamptz not null default now()
);
