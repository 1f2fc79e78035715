package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Role is what the holder of a token may do. Each may do what those before it may.
type Role int

// The roles. A token is an admin's unless its setting says something else (ann:viewer=token).
const (
	// Nobody has shown no token.
	Nobody Role = iota
	// Viewer may see where everything stands, and not what sagas and messages carry: that is other
	// people's data. The console masks it; the APIs do not let a viewer at it.
	Viewer
	// Reader may read everything. It is the role of a read token (…_READ_TOKENS).
	Reader
	// Operator may change one thing at a time.
	Operator
	// Admin may change many at once, and end by force what does not end by itself.
	Admin
)

var roleNames = []string{"nobody", "viewer", "reader", "operator", "admin"}

func (r Role) String() string {
	if r < 0 || int(r) >= len(roleNames) {
		return fmt.Sprintf("role %d", int(r))
	}
	return roleNames[r]
}

// MarshalText implements [encoding.TextMarshaler].
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// splitRole reads the name of a pair: ann, or ann:viewer. A word that is no role is an error, or
// what was meant for a viewer would be an admin's.
func splitRole(name string, unsaid Role) (string, Role, error) {
	name, word, said := strings.Cut(name, ":")
	if !said {
		return name, unsaid, nil
	}
	role, err := ParseRole(word)
	return name, role, err
}

// ParseRole returns the role of a name. A word that is none is an error.
func ParseRole(word string) (Role, error) {
	role := Role(slices.Index(roleNames, word))
	if role < Viewer {
		return Nobody, fmt.Errorf("a role must be one of %s", strings.Join(roleNames[Viewer:], ", "))
	}
	return role, nil
}

// Holder is who has a token.
type Holder struct {
	Name string
	Role Role
}

// ReadOnly returns the tokens as those of people who may read, whatever else they may elsewhere.
func (t Tokens) ReadOnly() Tokens {
	t.from = slices.Clone(t.from)
	for i := range t.from {
		t.from[i].ceiling = min(t.from[i].ceiling, Reader)
	}
	return t
}

// roleKey is where an operation says which role it needs.
const roleKey = "role"

// For returns an operation that needs a role. Without it an operation that [Guard] guards needs a
// [Reader] to read, and an [Operator] to change something.
func For(role Role, op huma.Operation) huma.Operation {
	metadata := map[string]any{roleKey: role}
	for k, v := range op.Metadata {
		if k != roleKey {
			metadata[k] = v
		}
	}
	op.Metadata = metadata
	return op
}

func needed(op *huma.Operation) Role {
	if role, said := op.Metadata[roleKey].(Role); said {
		return role
	}
	if op.Method == http.MethodGet || op.Method == http.MethodHead {
		return Reader
	}
	return Operator
}

// As returns a context in which guarded operations of this process are called without a token, by
// a person whom the caller has let in: the console, which has looked at the token already. client
// is the address that they came from. No request can bring such a context along.
func As(ctx context.Context, h Holder, client string) context.Context {
	return context.WithValue(ctx, actingKey{}, acting{h, client})
}

type actingKey struct{}

type acting struct {
	Holder
	client string
}
