package audit

import (
	"regexp"
	"strings"

	"waybill.example/contracts"
)

var (
	psqlVariable = regexp.MustCompile(`^psql "\$([A-Z]+)_DB"`)
	dlqService   = regexp.MustCompile(`^waybill dlq .*?--service=([a-z]+)`)
	relayFlag    = regexp.MustCompile(`^(outbox-relay .*?--database=)([a-z]+)`)
)

// inShard is a proposed command as it has to be typed where the databases are a shard's. The relay
// knows them under names of their own, and the shell has ORDERS1_DB, ORDERS1_URL and so on, as the
// devstack writes them to .waybill/env. Shard 0 has the plain names. Whatever is replaced stands
// before all quoted text.
func inShard(shard contracts.Shard, command string) string {
	n := shard.String()
	if n == "" || n == "0" || command == "" {
		return command
	}
	asks := func(service string) string {
		name := strings.ToUpper(service)
		return name + `_URL="$` + name + n + `_URL" `
	}
	if command == repairMissing {
		return strings.ReplaceAll(command, `_DB"`, n+`_DB"`)
	}
	switch program, _, _ := strings.Cut(command, " "); program {
	case "psql":
		return psqlVariable.ReplaceAllString(command, `psql "$$${1}`+n+`_DB"`)
	case "curl":
		return strings.Replace(command, ordersURL, `"$ORDERS`+n+`_URL"`, 1)
	case "outbox-relay":
		at := relayFlag.FindStringSubmatchIndex(command)
		return command[:at[4]] + shard.Database(command[at[4]:at[5]]) + command[at[5]:]
	case "waybill":
		return asks(dlqService.FindStringSubmatch(command)[1]) + command
	case "orchestrator":
		explain, retry, two := strings.Cut(command, " && ")
		if two && looks(explain) {
			return asks("orchestrator") + explain + " && " + asks("orchestrator") + retry
		}
		return asks("orchestrator") + command
	case "make":
		return "go run ./drills audit --shard " + n
	}
	return command
}
