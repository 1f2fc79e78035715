package source

// WaitingSQL are the first parts of a `with` that look at what is not published, without reading what is: however many rows
// are between the oldest gap and the end, and however many ranges the cursor has, it looks into the first gaps and above
// the end, by the primary key.
//
//   - progress: one row, the cursor's, with published as read once, its end and what the sequence has handed out
//   - gap: the lowest gaps, ten thousand at most. A row in a gap above those is counted, and not looked for: the relay
//     that leads finds it by itself.
const WaitingSQL = `
progress as materialized (
    select c.leader, c.led_since, c.paused, c.published + '{}'::int8multirange as published,
           coalesce(upper(c.published), 1) as last,
           (select case when is_called then last_value else last_value - 1 end from public.outbox_id_seq) as allocated
      from public.outbox_cursor c),
gap as materialized (
    select lower(r) as lo, upper(r) as hi
      from progress p
     cross join lateral unnest(int8multirange(int8range(1, p.last)) - p.published) as r
     order by 1
     limit 10000)`

// CountsSQL are columns of progress p: how many ids were handed out and are not dealt with, and when the oldest
// committed row that waits was inserted.
const CountsSQL = `
greatest(0, p.allocated - coalesce((select sum(upper(r) - lower(r))
    from unnest(p.published * int8multirange(int8range(1, greatest(1, p.allocated + 1)))) as r), 0))::bigint,
(select created_at from (
    (select o.id, o.created_at
       from gap
      cross join lateral (select id, created_at from public.outbox where id >= gap.lo and id < gap.hi order by id limit 1) o
      limit 1)
    union all
    (select id, created_at from public.outbox where id >= p.last order by id limit 1)) o
  order by id limit 1)`
