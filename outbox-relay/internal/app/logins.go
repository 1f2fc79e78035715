package app

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"waybill.example/chassis/config"
	"waybill.example/chassis/kafka"
)

// login is what the rows of one database are sent as.
type login struct{ username, password string }

var loginEntry = regexp.MustCompile(`^([^=:]+)=([^:]+):(.+)$`)

// logins returns each database's own Kafka login, nil where RELAY_KAFKA_LOGINS is not set. Once it
// is, every database has to be in it: one that was forgotten would be the one that may do what the
// relay's own login may. No message has any part of an entry but a database's name.
func (c Config) logins() (logins map[string]login, faults []error) {
	const form = "RELAY_KAFKA_LOGINS must list name=username:password, separated by commas, semicolons or white space"
	entries := strings.FieldsFunc(string(c.KafkaLogins), separates)
	if len(entries) == 0 {
		return nil, nil
	}
	pairs, _ := c.Databases.Entries() // whose faults are its own
	known := map[string]bool{}
	for _, db := range pairs {
		known[db.Name] = true
	}
	logins = map[string]login{}
	for i, entry := range entries {
		parts := loginEntry.FindStringSubmatch(entry)
		if parts == nil {
			faults = append(faults, fmt.Errorf("%s; entry %d is not of that form", form, i+1))
			continue
		}
		name := parts[1]
		switch _, duplicate := logins[name]; {
		case !known[name]:
			faults = append(faults, fmt.Errorf("RELAY_KAFKA_LOGINS: entry %d is for no database of RELAY_DATABASES", i+1))
		case duplicate:
			faults = append(faults, fmt.Errorf("RELAY_KAFKA_LOGINS has two logins for %s", name))
		}
		logins[name] = login{parts[2], parts[3]}
	}
	for _, db := range pairs {
		if _, ok := logins[db.Name]; !ok {
			faults = append(faults, fmt.Errorf("RELAY_KAFKA_LOGINS has no login for %s", db.Name))
		}
	}
	return logins, append(faults, c.loginFaults()...)
}

func separates(r rune) bool { return strings.ContainsRune(",; \t\r\n", r) }

// loginFaults are settings that would have the logins ignored.
func (c Config) loginFaults() (faults []error) {
	if !strings.HasPrefix(strings.ToUpper(c.Kafka.SecurityProtocol), "SASL_") {
		faults = append(faults, fmt.Errorf("RELAY_KAFKA_LOGINS is not used with KAFKA_SECURITY_PROTOCOL=%s; set SASL_SSL", c.Kafka.SecurityProtocol))
	}
	for _, property := range c.Kafka.Properties {
		switch name, _, _ := strings.Cut(property, "="); strings.TrimSpace(name) {
		case "sasl.username", "sasl.password":
			faults = append(faults, errors.New("KAFKA_PROPERTIES sets a login, which would replace those of RELAY_KAFKA_LOGINS"))
		}
	}
	return faults
}

// as returns the Kafka settings that log in as l.
func (l login) as(c kafka.Config) kafka.Config {
	return c.LoginAs(l.username, config.Secret(l.password))
}
