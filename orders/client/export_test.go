package client

// The bodies that only the client itself reads and writes.
type (
	Accepted     = accepted
	Cancellation = cancellation
	Page         = page
)
