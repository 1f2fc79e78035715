// Package ordersim simulates the order flow: the decisions of Orders and Inventory themselves, with
// what they answer, and the order saga on the real engine, in the world of
// [waybill.example/sdk/saga/sagasim]. Only what is around the decisions is a model: databases,
// inboxes, outboxes, the broker and the clock.
package ordersim
