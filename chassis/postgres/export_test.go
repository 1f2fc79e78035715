package postgres

// DeleteOlderSQL lets a test look at its plan.
var DeleteOlderSQL = deleteOlder
