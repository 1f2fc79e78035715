package contracts

// Names of the Kafka headers: CloudEvents 1.0 in binary content mode (its Kafka protocol binding),
// and W3C Trace Context.
const (
	HeaderSpecVersion = "ce_specversion"
	HeaderID          = "ce_id"
	HeaderSource      = "ce_source"
	HeaderType        = "ce_type"
	HeaderTime        = "ce_time"
	HeaderContentType = "content-type"
	// HeaderCausationID is a CloudEvents extension attribute: the ce_id of the message that
	// caused this one. Absent where a client's request did.
	HeaderCausationID = "ce_causationid"
	HeaderTraceParent = "traceparent"
)
