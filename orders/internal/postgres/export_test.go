package postgres

// ListQuery lets a test look at the plans of [Store.List].
var ListQuery = listQuery
