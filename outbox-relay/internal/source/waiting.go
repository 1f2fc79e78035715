package source

// WaitingSQL are the first parts of a `with` that look at what is not published, without reading
// what is: however many rows are between the oldest gap and the end, and however many ranges the
// cursor has, it looks into the first gaps and above the end, by the primary key.
//
//   - progress: one row, the cursor's, with what is missing below its end, and what the sequence
//     has handed out
//   - gap: the lowest gaps, ten thousand at most. A row in a gap above those is counted, and not
//     looked for: the relay that leads finds it by itself.
//   - missing: how many gaps there are, and how many ids in them that were handed out
const WaitingSQL = `
progress as materialized (
    select c.leader, c.led_since, c.paused, coalesce(upper(c.published), 1) as last,
           int8multirange(int8range(1, coalesce(upper(c.published), 1))) - c.published as missing,
           (select case when is_called then last_value else last_value - 1 end from public.outbox_id_seq) as allocated
      from public.outbox_cursor c),
gap as materialized (
    select lower(r) as lo, upper(r) as hi from (select unnest(missing) as r from progress limit 10000) g),
missing as materialized (
    select count(*) as gaps,
           coalesce(sum(least(upper(r), allocated + 1) - lower(r)) filter (where lower(r) <= allocated), 0)::bigint as ids
      from (select unnest(missing) as r, allocated from progress) g)`

// CountsSQL are columns of progress p and missing m: how many ids were handed out and are not dealt
// with, and when the oldest committed row that waits was inserted.
const CountsSQL = `
m.ids + greatest(0, p.allocated - (p.last - 1)),
(select created_at from (
    (select o.id, o.created_at
       from gap
      cross join lateral (select id, created_at from public.outbox where id >= gap.lo and id < gap.hi order by id limit 1) o
      limit 1)
    union all
    (select id, created_at from public.outbox where id >= p.last order by id limit 1)) o
  order by id limit 1)`
