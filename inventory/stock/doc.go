// Package stock decides what becomes of commands that ask for items or give them back: who gets
// how much of what is on hand, and what each sender is told. It is pure: levels, reservations and
// commands in, changes and replies out.
//
// An order has at most one reservation, and it is decided once:
//
//	(none) ──reserve, enough on hand──> RESERVED ──release──> RELEASED
//	(none) ──reserve, otherwise───────> REJECTED
//	(none) ──release──────────────────> RELEASED
//
// Whatever is asked again is answered as before, so a sender that heard nothing may ask again. A
// release always succeeds. After it the order gets nothing any more, also if it gave back before it
// asked: of two messages that overtook one another the earlier sent must not win.
//
// For every sku, what was received = what is on hand + what RESERVED reservations hold.
package stock
