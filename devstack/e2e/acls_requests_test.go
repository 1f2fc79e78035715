package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/contracts"
)

// What follows are single requests to the only node: a client that retries and finds its own way
// would hide what the node answered.

func ask(t *testing.T, client *kgo.Client, request kmsg.Request) kmsg.Response {
	t.Helper()
	response, err := client.SeedBrokers()[0].Request(t.Context(), request)
	require.NoError(t, err)
	return response
}

// createTopics returns what each was refused with.
func createTopics(t *testing.T, client *kgo.Client, names ...string) (refused []error) {
	t.Helper()
	request := kmsg.NewPtrCreateTopicsRequest()
	for _, name := range names {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, contracts.DefaultPartitions, 1
		request.Topics = append(request.Topics, topic)
	}
	for _, topic := range ask(t, client, request).(*kmsg.CreateTopicsResponse).Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			refused = append(refused, err)
		}
	}
	return refused
}

// lookUp returns what the node says about a topic.
func lookUp(t *testing.T, client *kgo.Client, name string) error {
	t.Helper()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &name
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = append(request.Topics, topic)
	return kerr.ErrorForCode(ask(t, client, request).(*kmsg.MetadataResponse).Topics[0].ErrorCode)
}

func describeConfigs(t *testing.T, client *kgo.Client, name string) error {
	t.Helper()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, name
	request := kmsg.NewPtrDescribeConfigsRequest()
	request.Resources = append(request.Resources, resource)
	return kerr.ErrorForCode(ask(t, client, request).(*kmsg.DescribeConfigsResponse).Resources[0].ErrorCode)
}

func initTransaction(t *testing.T, client *kgo.Client) error {
	t.Helper()
	id := "waybill"
	request := kmsg.NewPtrInitProducerIDRequest()
	request.TransactionalID, request.TransactionTimeoutMillis = &id, 60_000
	return kerr.ErrorForCode(ask(t, client, request).(*kmsg.InitProducerIDResponse).ErrorCode)
}

// fetch reads the first records of a topic's partitions.
func fetch(t *testing.T, client *kgo.Client, name string) error {
	t.Helper()
	request := kmsg.NewPtrFetchRequest()
	request.ReplicaID, request.MaxWaitMillis, request.MaxBytes = -1, 100, 1<<20
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = name
	for i := range int32(contracts.DefaultPartitions) {
		partition := kmsg.NewFetchRequestTopicPartition()
		partition.Partition, partition.PartitionMaxBytes = i, 1<<20
		topic.Partitions = append(topic.Partitions, partition)
	}
	request.Topics = append(request.Topics, topic)
	response := ask(t, client, request).(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return err
	}
	read := 0
	for _, partition := range response.Topics[0].Partitions {
		if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
			return err
		}
		read += len(partition.RecordBatches)
	}
	require.NotZero(t, read, "%s has records", name)
	return nil
}

// joinGroup asks to become a member. The node answers with an id that a member has to come back
// with, which this one does not.
func joinGroup(t *testing.T, client *kgo.Client, group string) error {
	t.Helper()
	request := kmsg.NewPtrJoinGroupRequest()
	request.Group, request.ProtocolType = group, "consumer"
	request.SessionTimeoutMillis, request.RebalanceTimeoutMillis = 10_000, 10_000
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name = "range"
	request.Protocols = append(request.Protocols, protocol)
	err := kerr.ErrorForCode(ask(t, client, request).(*kmsg.JoinGroupResponse).ErrorCode)
	if err == kerr.MemberIDRequired { //nolint:errorlint // the code itself
		return nil
	}
	return err
}

// administer tries what only an administrator may do, and returns the answers.
func administer(t *testing.T, client *kgo.Client, name string) map[string]error {
	t.Helper()
	errs := map[string]error{}
	for _, err := range createTopics(t, client, "made-by-"+name) {
		errs["create a topic"] = err
	}
	gone := kmsg.NewDeleteTopicsRequestTopic()
	gone.Topic = kmsg.StringPtr(contracts.TopicOrders)
	remove := kmsg.NewPtrDeleteTopicsRequest()
	remove.Topics = append(remove.Topics, gone)
	errs["delete a topic"] = kerr.ErrorForCode(ask(t, client, remove).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode)

	retention, value := kmsg.NewIncrementalAlterConfigsRequestResourceConfig(), "1"
	retention.Name, retention.Value = "retention.ms", &value
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, contracts.TopicOrders
	resource.Configs = append(resource.Configs, retention)
	alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
	alter.Resources = append(alter.Resources, resource)
	errs["change a topic"] = kerr.ErrorForCode(ask(t, client, alter).(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode)

	acl := kmsg.NewCreateACLsRequestCreation()
	acl.ResourceType, acl.ResourceName = kmsg.ACLResourceTypeTopic, contracts.TopicOrders
	acl.Principal, acl.Host = "User:"+name, "*"
	acl.Operation, acl.PermissionType = kmsg.ACLOperationAll, kmsg.ACLPermissionTypeAllow
	grant := kmsg.NewPtrCreateACLsRequest()
	grant.Creations = append(grant.Creations, acl)
	errs["grant itself a topic"] = kerr.ErrorForCode(ask(t, client, grant).(*kmsg.CreateACLsResponse).Results[0].ErrorCode)
	return errs
}
