package broker

import (
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// minInSync is a topic's setting: how many replicas have to have a record before it is
// acknowledged.
const minInSync = "min.insync.replicas"

// honourMinInSync has the broker answer NOT_ENOUGH_REPLICAS to what is produced to a topic for as
// long as its min.insync.replicas is set above 1, which is all the replicas that there are. kfake
// keeps the setting and goes by it no more than an Apache Kafka does on a topic of one replica, so
// this is how to see what clients do while a topic has too few replicas in sync: set it with
// IncrementalAlterConfigs (kafka-configs, rpk), and delete it or set it to 1 again. A broker that
// is opened again takes everything.
func (b *Broker) honourMinInSync() {
	var mu sync.Mutex
	refused := map[string]*kfake.FaultHandle{}
	b.ControlKey(int16(kmsg.IncrementalAlterConfigs), func(request kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		for topic, refuses := range refusals(request.(*kmsg.IncrementalAlterConfigsRequest)) {
			fault, is := refused[topic]
			switch {
			case refuses && !is:
				refused[topic] = b.Fault(kfake.Fault{
					Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotEnoughReplicas, Count: -1,
				})
			case !refuses && is:
				fault.Remove()
				delete(refused, topic)
			}
		}
		return nil, nil, false // kfake keeps the setting
	})
}

// refusals says of the topics whose setting a request changes whether they will take nothing.
func refusals(request *kmsg.IncrementalAlterConfigsRequest) map[string]bool {
	found := map[string]bool{}
	for _, resource := range request.Resources {
		if resource.ResourceType != kmsg.ConfigResourceTypeTopic || request.ValidateOnly {
			continue
		}
		for _, setting := range resource.Configs {
			if setting.Name != minInSync {
				continue
			}
			found[resource.ResourceName] = false
			if setting.Op == kmsg.IncrementalAlterConfigOpSet && setting.Value != nil {
				n, err := strconv.Atoi(*setting.Value)
				found[resource.ResourceName] = err == nil && n > 1
			}
		}
	}
	return found
}
