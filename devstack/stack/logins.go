package stack

import (
	"context"
	"net/url"

	"waybill.example/migrations"
)

// On a server of its own a stack runs as it is meant to be run: each service logs in as a role that
// may do its work in its own database and nothing else, and the relay as another one in each
// database. None of them is the superuser that devstack itself and the drills are.
//
// On somebody else's server no roles are made: those are of the whole server.
const (
	asService = "_service"
	asRelay   = "_relay"
)

// login returns how a process reaches a database.
func (p *plan) login(database, as string) string {
	if p.external {
		return p.databases[database]
	}
	u, err := url.Parse(p.databases[database])
	if err != nil {
		return p.databases[database] // it is ours, and is none
	}
	u.User = url.UserPassword(database+as, p.password)
	return u.String()
}

// grant makes the logins, with a password of this run.
func (p *plan) grant(ctx context.Context) error {
	if p.external {
		return nil
	}
	for name, url := range p.databases {
		for login, roles := range Logins(name) {
			if err := migrations.Grant(ctx, url, login, p.password, roles...); err != nil {
				return err
			}
		}
	}
	return nil
}

// Logins are the roles of those that log in to a database of a stack's own server, by their names.
func Logins(database string) map[string][]migrations.Role {
	service := []migrations.Role{migrations.Writer, migrations.Consumer, migrations.Role(database)}
	if database == Orchestrator {
		service = append(service, migrations.Reader) // explain reads its own outbox and inbox
	}
	return map[string][]migrations.Role{database + asService: service, database + asRelay: {migrations.Relay}}
}
