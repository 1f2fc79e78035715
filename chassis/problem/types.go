package problem

import (
	"cmp"
	"net/http"
	"slices"
)

// types are all of them: [define] adds to them, and init sorts them.
var types []*Type

func define(t Type) *Type {
	types = append(types, &t)
	return &t
}

func compare(a, b string) int { return cmp.Compare(a, b) }

func init() {
	slices.SortFunc(types, func(a, b *Type) int { return compare(a.Slug, b.Slug) })
}

// What any request can meet.
var (
	InvalidRequest = define(Type{
		Slug: "invalid-request", Status: http.StatusBadRequest, Title: "The request cannot be read",
		Means:  "The path, the query, a header or the body is not well-formed: invalid JSON, a field twice, text that is not UTF-8, a NUL or half of a surrogate pair, an id in the path that no resource can have.",
		Remedy: "Fix the client: the same request will not succeed. `detail` and `errors` say where the fault is.",
	})
	ValidationFailed = define(Type{
		Slug: "validation-failed", Status: http.StatusUnprocessableEntity, Title: "The request breaks a rule of the API",
		Means:  "The request can be read, but a value is missing, out of its bounds or of another type, a filter is empty, or a parameter or field does not exist.",
		Remedy: "`errors` names each place (`body.quantity`, `query.limit`) and the rule. The rules are in the service's OpenAPI document.",
	})
	InvalidCursor = define(Type{
		Slug: "invalid-cursor", Status: http.StatusUnprocessableEntity, Title: "The cursor is not one of this list",
		Means:  "`cursor` is not the `next` of a page of the same list.",
		Remedy: "Send the `next` of the last page as it came, or begin again without a cursor.",
	})
	KeyReused = define(Type{
		Slug: "idempotency-key-reused", Status: http.StatusUnprocessableEntity, Title: "The Idempotency-Key was used for another request",
		Means:  "An earlier request of the last 24 hours had the same `Idempotency-Key` and another body. Nothing was done.",
		Remedy: "Use a new key for each request, and the same key only to send the same request again.",
	})
	Unauthorized = define(Type{
		Slug: "unauthorized", Status: http.StatusUnauthorized, Title: "A token is needed",
		Means:  "The operation needs a token, and the request has no valid one.",
		Remedy: "Send `Authorization: Bearer …` with a token of the setting that `detail` names.",
	})
	Forbidden = define(Type{
		Slug: "forbidden", Status: http.StatusForbidden, Title: "This is not allowed here",
		Means:  "No tokens are set, so that the operation is off; or a web page of another origin made the request.",
		Remedy: "Set tokens, as `detail` says. Pages of other origins cannot change anything.",
	})
	NotFound = define(Type{
		Slug: "not-found", Status: http.StatusNotFound, Title: "There is no such thing",
		Means:  "Nothing has this id or name (yet), or there is no such path.",
		Remedy: "Check the URL. What was accepted a moment ago may reach another service a little later.",
	})
	MethodNotAllowed = define(Type{
		Slug: "method-not-allowed", Status: http.StatusMethodNotAllowed, Title: "The path does not have this method",
		Means:  "The path exists, with other methods.",
		Remedy: "`Allow` names the methods of the path; so does the answer to OPTIONS.",
	})
	NotAcceptable = define(Type{
		Slug: "not-acceptable", Status: http.StatusNotAcceptable, Title: "The answer has no media type that is accepted",
		Means:  "`Accept` excludes every media type that the operation answers with. Nothing was done.",
		Remedy: "Accept `application/json`, or leave `Accept` out.",
	})
	Conflict = define(Type{
		Slug: "conflict", Status: http.StatusConflict, Title: "The state of the resource forbids it",
		Means:  "The request is valid, but not for what the resource is now. Nothing was done.",
		Remedy: "Get the resource, and decide again. `detail` says what stands in the way.",
	})
	Changed = define(Type{
		Slug: "precondition-failed", Status: http.StatusPreconditionFailed, Title: "The resource has changed since",
		Means:  "`If-Match` names a state that the resource is no longer in, or `If-None-Match: *` one that exists. Nothing was done.",
		Remedy: "Get the resource again, look, and send the request with its new `ETag`.",
	})
	TooLarge = define(Type{
		Slug: "content-too-large", Status: http.StatusRequestEntityTooLarge, Title: "The body is too large",
		Means:  "The body is larger than 64 KiB.",
		Remedy: "Send less at once.",
	})
	UnsupportedMediaType = define(Type{
		Slug: "unsupported-media-type", Status: http.StatusUnsupportedMediaType, Title: "The body is not said to be JSON",
		Means:  "`Content-Type` is missing or something else.",
		Remedy: "Send JSON, with `Content-Type: application/json`.",
	})
	Misdirected = define(Type{
		Slug: "misdirected-request", Status: http.StatusMisdirectedRequest, Title: "The host is not served here",
		Means:  "The request is for a host name that this service does not serve; on loopback that keeps web pages out whose name resolves to it.",
		Remedy: "Ask for `localhost`, or add the name to `HTTP_HOSTS`.",
	})
	TooManyRequests = define(Type{
		Slug: "too-many-requests", Status: http.StatusTooManyRequests, Title: "Too many requests",
		Means:  "The client has sent more requests, or more wrong tokens, than it may.",
		Remedy: "Wait as long as `Retry-After` says, in seconds.",
	})
	Internal = define(Type{
		Slug: "internal-error", Status: http.StatusInternalServerError, Title: "Something went wrong in the service",
		Means:  "The service met an error that it does not expect. It has been logged with the problem's `traceId`.",
		Remedy: "Report it with the `traceId`. Sending the request again will hardly help.",
	})
	Unavailable = define(Type{
		Slug: "unavailable", Status: http.StatusServiceUnavailable, Title: "The service cannot do it at the moment",
		Means:  "Something that the request needs does not answer, mostly the database, or the service has too much to do. `detail` says whether the request may have been carried out.",
		Remedy: "Send it again after `Retry-After` seconds, with the same `Idempotency-Key` where the operation takes one.",
	})
)

// general are the types of answers that are known by their status alone.
var general = map[int]*Type{
	http.StatusBadRequest:            InvalidRequest,
	http.StatusUnauthorized:          Unauthorized,
	http.StatusForbidden:             Forbidden,
	http.StatusNotFound:              NotFound,
	http.StatusMethodNotAllowed:      MethodNotAllowed,
	http.StatusNotAcceptable:         NotAcceptable,
	http.StatusConflict:              Conflict,
	http.StatusPreconditionFailed:    Changed,
	http.StatusRequestEntityTooLarge: TooLarge,
	http.StatusUnsupportedMediaType:  UnsupportedMediaType,
	http.StatusMisdirectedRequest:    Misdirected,
	http.StatusUnprocessableEntity:   ValidationFailed,
	http.StatusTooManyRequests:       TooManyRequests,
	http.StatusInternalServerError:   Internal,
	http.StatusServiceUnavailable:    Unavailable,
}

// Orders.
var (
	CancellationRefused = define(Type{
		Slug: "cancellation-refused", Status: http.StatusConflict, Title: "The order can no longer be cancelled",
		Means:  "The order was CONFIRMED longer ago than it can be taken back, or its saga decided against it. It stays as it is.",
		Remedy: "None: the order's `cancelRefused` has the reason.",
	})
)

// Inventory.
var (
	InsufficientStock = define(Type{
		Slug: "insufficient-stock", Status: http.StatusConflict, Title: "Fewer are on hand than are to be taken away",
		Means:  "The movement would leave less than nothing on hand. Nothing was done.",
		Remedy: "Get the stock, and take away at most what is on hand.",
	})
	TooMuchStock = define(Type{
		Slug: "too-much-stock", Status: http.StatusConflict, Title: "The stock would exceed what can be counted",
		Means:  "The change would bring the sku above its maximum. Nothing was done.",
		Remedy: "Check the number; the rules are in the OpenAPI document.",
	})
)

// Sagas.
var (
	AmbiguousSaga = define(Type{
		Slug: "ambiguous-saga", Status: http.StatusConflict, Title: "Several sagas have this id",
		Means:  "Sagas of several definitions have the id.",
		Remedy: "Name one with `?definition=`.",
	})
	SagaEnded = define(Type{
		Slug: "saga-ended", Status: http.StatusConflict, Title: "The saga has ended",
		Means:  "The intervention is for a saga that is still open. Nothing was done.",
		Remedy: "`cancel` still undoes a saga that completed; nothing else acts on one that has ended.",
	})
	SagaSuspended = define(Type{
		Slug: "saga-suspended", Status: http.StatusConflict, Title: "The saga is suspended",
		Means:  "The saga does not go on: its definition's version is not registered with this orchestrator, or an operator suspended it.",
		Remedy: "Run an orchestrator that knows the version, or resume the saga.",
	})
	NoEffect = define(Type{
		Slug: "saga-already-so", Status: http.StatusConflict, Title: "The saga is like that already",
		Means:  "The intervention would change nothing. Nothing was done.",
		Remedy: "None is needed.",
	})
	NotWaiting = define(Type{
		Slug: "saga-step-not-waiting", Status: http.StatusConflict, Title: "The step waits for nothing",
		Means:  "The intervention acts on what a step waits for, and this one waits for nothing now.",
		Remedy: "Get the saga: `waits` says what it waits for.",
	})
)
