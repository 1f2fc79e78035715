// Package helm holds the chart waybill to Kubernetes and to the code.
//
// It is a module of its own, because Helm's packages need versions of libraries that Waybill must
// not be made to take.
package helm
