package postgres

// LookUpSQL lets a test look at its plan.
const LookUpSQL = lookUpSQL

// ListQuery lets a test look at the plans of [Store.List].
var ListQuery = listQuery
