package postgres

// The statements whose plans are looked at.
const (
	LookUpSQL = lookUpSQL
	ForgetSQL = forgetSQL
)

// ListQuery lets a test look at the plans of [Store.List].
var ListQuery = listQuery
