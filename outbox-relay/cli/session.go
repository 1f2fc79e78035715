package cli

import (
	"context"
	"io"

	"waybill.example/chassis/config"
	"waybill.example/outbox-relay/internal/databases"
)

// Open returns what a verb works with: the databases of RELAY_DATABASES, the only setting that it
// needs, and where to write. It connects when a verb does. The caller closes the session.
func Open(ctx context.Context, out io.Writer) (*Session, error) {
	var setting databases.Setting
	if err := config.Load(&setting); err != nil {
		return nil, err
	}
	all, err := setting.Open()
	if err != nil {
		return nil, err
	}
	return &Session{Context: ctx, Out: out, Databases: all}, nil
}

// Close closes the connections of the session.
func (s *Session) Close() { databases.Close(s.Databases) }
