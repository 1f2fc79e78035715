package httpserver

import (
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
)

// Keyed is the header with which a client can send a request again: embed it in the input of an
// operation that keeps the key in the transaction of its effect
// (draft-ietf-httpapi-idempotency-key-header).
type Keyed struct {
	IdempotencyKey string `header:"Idempotency-Key" minLength:"1" maxLength:"255" pattern:"^[ -~]*$" patternDescription:"printable ASCII" doc:"Chosen by the client for each request, and kept for 24 hours: a request with a key that was used before is not carried out again, and gets the same answer. With another body it is refused (422). Where a request names a user, keys are that user's own." example:"8e03978e-40d5-43dd-bc93-6894a57f9324"`
}

func (Keyed) keyed() {}

// Resolve refuses a header that protects nothing although its client believes so: an empty one, and two.
func (*Keyed) Resolve(ctx huma.Context) []error {
	request, _ := humachi.Unwrap(ctx)
	keys := request.Header["Idempotency-Key"]
	if len(keys) == 0 || len(keys) == 1 && keys[0] != "" {
		return nil
	}
	return []error{&huma.ErrorDetail{Location: "header.Idempotency-Key", Message: "expected one key, which is not empty"}}
}
