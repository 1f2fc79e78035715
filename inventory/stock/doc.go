// Package stock decides what becomes of commands that reserve items or release them: which order
// gets how much of what is on hand, and what the answer is. It is pure: levels, reservations and
// commands in, changes and replies out.
//
// An order has at most one reservation, and it is decided once:
//
//	(none) ──reserve, all on hand─────> RESERVED ──release──> RELEASED
//	(none) ──reserve, otherwise───────> REJECTED
//	(none) ──release──────────────────> RELEASED
//
// An order has one line per sku, and gets all of its lines or none of them.
//
// A command that comes again is answered as before, so a sender without an answer may ask again. A
// release always succeeds. After it the order gets nothing any more, also if the release overtook
// the request: the message that was sent earlier must not win.
//
// For every sku, what was received = what is on hand + what RESERVED reservations hold.
package stock
