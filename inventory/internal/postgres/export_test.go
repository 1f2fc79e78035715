package postgres

// LockStockSQL is for the test of its plan.
const LockStockSQL = lockStockSQL
