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
	// HeaderInReplyTo is the eventId of the command that this copy of an event answers. An event
	// has one id and one body however often it is sent, so the causation id in it stays that of the
	// first command; a participant that is asked again sends the event again and names here the
	// command that asked. Subscribers do not look at it; for the one who asked, a reply to another
	// command is another message.
	HeaderInReplyTo = "waybill-in-reply-to"
)
