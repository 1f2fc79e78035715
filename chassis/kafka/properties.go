package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// promised are the settings of librdkafka that a promise rests on, each with the values that keep
// it (none: it is set by the code alone) and what another one would break.
var promised = map[string]struct {
	values []string
	breaks string
}{
	"acks":                                  {[]string{"all", "-1"}, "a message that only the leader has is lost with it, although it counts as published"},
	"request.required.acks":                 {[]string{"all", "-1"}, "a message that only the leader has is lost with it, although it counts as published"},
	"enable.idempotence":                    {nil, "without it a retry doubles and reorders messages"},
	"enable.gapless.guarantee":              {nil, "without it messages are published behind one of their key that failed"},
	"max.in.flight":                         {nil, "with more than one request under way a message that failed is overtaken by later ones of its key"},
	"max.in.flight.requests.per.connection": {nil, "with more than one request under way a message that failed is overtaken by later ones of its key"},
	"message.timeout.ms":                    {nil, "a message that expires leaves a gap in the order of its key"},
	"delivery.timeout.ms":                   {nil, "a message that expires leaves a gap in the order of its key"},
	"message.send.max.retries":              {nil, "a message that is given up leaves a gap in the order of its key"},
	"retries":                               {nil, "a message that is given up leaves a gap in the order of its key"},
	"transactional.id":                      {nil, "nothing here writes in Kafka transactions"},
	"partitioner":                           {[]string{"murmur2_random"}, "messages of a key would go to other partitions than before, and lose their order"},
	"delivery.report.only.error":            {[]string{"false"}, "what is not reported as published is published again"},
	"enable.auto.offset.store":              {[]string{"false"}, "offsets of messages that were not applied would be committed, and the messages lost"},
	"enable.auto.commit":                    {[]string{"true"}, "no offset would be committed, and every restart read everything again"},
	"auto.commit.enable":                    {[]string{"true"}, "no offset would be committed, and every restart read everything again"},
	"auto.offset.reset":                     {[]string{"earliest", "smallest", "beginning"}, "messages of a new partition that came before the consumer would be lost"},
	"partition.assignment.strategy":         {[]string{"cooperative-sticky"}, "the consumer assigns and revokes single partitions"},
	"group.protocol":                        {[]string{"classic"}, "the consumer has not been tested with another"},
	"group.id":                              {nil, "the inbox and the positions are stored under the consumer group's name"},
}

// validateProperties returns an error for each property that breaks a promise.
func validateProperties(properties []string) []error {
	var problems []error
	for _, p := range properties {
		name, value, ok := strings.Cut(p, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" {
			problems = append(problems, errors.New("KAFKA_PROPERTIES must be name=value, separated by commas"))
			continue
		}
		if strings.HasPrefix(name, "go.") {
			problems = append(problems, fmt.Errorf("KAFKA_PROPERTIES: %s is not a setting of librdkafka and cannot be changed", name))
			continue
		}
		promise, ok := promised[name]
		switch {
		case !ok || slices.Contains(promise.values, strings.ToLower(value)):
		case len(promise.values) == 0:
			problems = append(problems, fmt.Errorf("KAFKA_PROPERTIES: %s cannot be changed: %s", name, promise.breaks))
		default:
			problems = append(problems, fmt.Errorf("KAFKA_PROPERTIES: %s must stay %s: %s", name, promise.values[0], promise.breaks))
		}
	}
	return problems
}
