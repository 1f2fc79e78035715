package cli

import (
	"fmt"
	"maps"
	"slices"

	"waybill.example/outbox-relay/internal/ops"
)

// TopicCommand looks after the topics that rows are for.
type TopicCommand struct {
	Create TopicCreateCommand `cmd:"" help:"Create a topic for which rows are stuck, like another one, and try them. Without --yes: only say what that would do. The broker is that of the KAFKA_ settings."`
}

// TopicCreateCommand creates a missing topic.
type TopicCreateCommand struct {
	Change
	Topic      string `arg:"" help:"The topic that is missing."`
	Like       string `help:"A topic that it is to be like, in partitions, replicas and configuration. Default: the one that most of the newest rows of the database went to."`
	Partitions int    `help:"How many partitions. Default: as many as the other topic has."`
	Yes        bool   `help:"Do it."`
}

// Run implements the command.
func (c TopicCreateCommand) Run(s *Session) error {
	broker, err := s.Broker()
	if err != nil {
		return err
	}
	d, err := s.one(c.Where)
	if err != nil {
		return err
	}
	missing := ops.MissingTopic{Name: c.Topic, Like: c.Like, Partitions: c.Partitions}
	var found ops.NewTopic
	if c.Yes {
		found, err = d.CreateTopic(s.Context, c.by(), missing, broker)
	} else {
		found, err = d.PlanTopic(s.Context, missing, broker)
	}
	switch {
	case err != nil:
		return err
	case c.JSON:
		return s.json(found)
	}
	c.print(s, found)
	return nil
}

func (c TopicCreateCommand) print(s *Session, t ops.NewTopic) {
	like := ""
	if t.Like != "" {
		like = ", as " + t.Like + " has"
	}
	verb := "would have"
	if t.Created {
		verb = "was created, and has"
	}
	s.printf("topic %s %s %s and %s%s\n", t.Name, verb, amount(t.Partitions, "partitions"), amount(t.Replicas, "replicas"), like)
	for _, key := range slices.Sorted(maps.Keys(t.Config)) {
		s.printf("  %s=%s\n", key, t.Config[key])
	}
	if t.Created {
		s.printf("of %d stuck rows %d are published, %d wait\n", t.Rows, t.Published, t.Waiting)
		return
	}
	s.printf("%d rows are stuck because it does not exist, %d wait behind them; --yes creates it and has them tried\n", t.Rows, t.Behind)
}

// amount is a number of partitions or replicas.
func amount(n int, what string) string {
	if n < 0 {
		return "the broker's usual number of " + what
	}
	return fmt.Sprintf("%d %s", n, what)
}
