package postgres

// byIndexSQL has a session find rows by an index and join by nested loops, which is what a service
// always wants that names the rows it is after. The planner may see it otherwise: a plan is made
// while a table is small, when reading all of it costs nothing, and kept while it grows, until the
// table is next analysed. Measured on a new system: 20,000 sagas in, loading the sagas of a batch
// took 300 ms instead of 3.
//
// What is turned off costs so much in the planner's eyes, where there is no other way (a table
// without an index), that Postgres would compile the plan first, for 100 ms: hence no jit.
//
// So the plan does not depend on the values either, and is made once a session. Left to itself,
// Postgres made one for each batch of one message, since it expects more of an array that it does
// not know: a third of its time at 50 orders a second.
const byIndexSQL = `set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; set jit = off;
set plan_cache_mode = force_generic_plan`
