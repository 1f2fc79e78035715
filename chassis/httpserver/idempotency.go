package httpserver

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"waybill.example/chassis/sweep"
)

// Keyed is the header with which a client can send a request again: embed it in the input of an
// operation that keeps the key in the transaction of its effect
// (draft-ietf-httpapi-idempotency-key-header).
type Keyed struct {
	IdempotencyKey string `header:"Idempotency-Key" minLength:"1" maxLength:"255" pattern:"^[ -~]*$" patternDescription:"printable ASCII" doc:"Chosen by the client for each request, and kept for 24 hours: a request with a key that was used before is not carried out again, and gets the same answer. With another body it is refused (422). Where a request names a user, keys are that user's own." example:"8e03978e-40d5-43dd-bc93-6894a57f9324"`
}

func (Keyed) keyed() {}

// IdempotencyConfig says how long idempotency keys are kept.
type IdempotencyConfig struct {
	// Retention is how long a client's Idempotency-Key is kept: for so long it may send a request
	// again.
	Retention time.Duration `env:"IDEMPOTENCY_RETENTION"`
}

// DefaultIdempotency keeps keys for a day.
func DefaultIdempotency() IdempotencyConfig { return IdempotencyConfig{Retention: 24 * time.Hour} }

// minRetention is the shortest IDEMPOTENCY_RETENTION.
const minRetention = time.Minute

// Validate implements config.Validator.
func (c IdempotencyConfig) Validate() []error {
	if c.Retention < minRetention {
		return []error{fmt.Errorf("IDEMPOTENCY_RETENTION must be at least %s, or a client's retry finds its key forgotten", minRetention)}
	}
	return nil
}

// Sweeper returns a part of a service that removes keys which are older than the retention. forget
// removes at most limit of those that are older than an age, and returns how many it removed.
func (c IdempotencyConfig) Sweeper(log *slog.Logger, forget func(ctx context.Context, age time.Duration, limit int) (int, error)) func(context.Context) error {
	return sweep.Loop("idempotency keys", log, func(ctx context.Context, limit int) (int, error) {
		return forget(ctx, c.Retention, limit)
	})
}

// Resolve refuses a header that protects nothing although its client believes so: an empty one, and
// two.
func (*Keyed) Resolve(ctx huma.Context) []error {
	request, _ := humachi.Unwrap(ctx)
	keys := request.Header["Idempotency-Key"]
	if len(keys) == 0 || len(keys) == 1 && keys[0] != "" {
		return nil
	}
	return []error{&huma.ErrorDetail{Location: "header.Idempotency-Key", Message: "expected one key, which is not empty"}}
}
