package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/httpserver"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
)

// countWithin bounds the one question that reads all sagas.
const countWithin = 10 * time.Second

var descriptionType = reflect.TypeFor[saga.Description]()

func (a *API) registerDefinitions(api huma.API) {
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "list-definitions", Method: http.MethodGet, Path: "/v1/definitions",
		Summary: "All versions of all definitions that this orchestrator knows", Tags: []string{"Definitions"},
	}, a.definitions)
	httpserver.Handle(a.slow, huma.Operation{
		OperationID: "list-versions", Method: http.MethodGet, Path: "/v1/versions",
		Summary: "What is left of each version that was ever run, and which can be removed", Tags: []string{"Definitions"},
	}, a.versions)
	httpserver.Handle(a.slow, huma.Operation{
		OperationID: "get-coverage", Method: http.MethodGet, Path: "/v1/definitions/{name}/coverage",
		Summary: "Which transitions the newest sagas of a version really made, and how often", Tags: []string{"Definitions"},
		Errors: []int{http.StatusNotFound},
	}, a.coverage)
	httpserver.Handle(a.operations, huma.Operation{
		OperationID: "get-definition", Method: http.MethodGet, Path: "/v1/definitions/{name}",
		Summary: "One definition as data, as a Mermaid diagram or as an SVG picture", Tags: []string{"Definitions"},
		Errors: []int{http.StatusNotFound},
		Responses: map[string]*huma.Response{"200": {
			Description: "The definition",
			Content: map[string]*huma.MediaType{
				"application/json": {Schema: api.OpenAPI().Components.Schemas.Schema(descriptionType, true, "")},
				"text/plain":       {Schema: &huma.Schema{Type: huma.TypeString}},
				"image/svg+xml":    {Schema: &huma.Schema{Type: huma.TypeString}},
			},
		}},
	}, a.definition)
}

type coverageInput struct {
	Name    httpserver.Text `path:"name" maxLength:"128"`
	Version int             `query:"version" minimum:"0" maximum:"2147483647" doc:"The newest if left out"`
	Sample  int             `query:"sample" minimum:"1" maximum:"5000" default:"1000" doc:"How many of its newest sagas to look at"`
}

type coverageOutput struct {
	Body inspect.Coverage
}

func (a *API) coverage(ctx context.Context, in *coverageInput) (*coverageOutput, error) {
	d, ok := a.Sagas.Registry().Definition(string(in.Name), in.Version)
	if !ok {
		return nil, errNoDefinition
	}
	c, err := a.Sagas.Coverage(ctx, d, in.Sample)
	if err != nil {
		return nil, err
	}
	return &coverageOutput{Body: c}, nil
}

var errNoDefinition = huma.Error404NotFound("there is no such definition; GET /v1/definitions lists them")

type versionsOutput struct {
	Body struct {
		Versions []inspect.VersionUse `json:"versions" nullable:"false"`
	}
}

func (a *API) versions(ctx context.Context, _ *struct{}) (*versionsOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, countWithin)
	defer cancel()
	list, err := a.Sagas.Versions(ctx)
	if err != nil {
		return nil, err
	}
	out := &versionsOutput{}
	out.Body.Versions = list
	return out, nil
}

type definitionsOutput struct {
	Body struct {
		Definitions []saga.Description `json:"definitions" nullable:"false"`
	}
}

func (a *API) definitions(context.Context, *struct{}) (*definitionsOutput, error) {
	out := &definitionsOutput{}
	out.Body.Definitions = []saga.Description{}
	for _, d := range a.Sagas.Registry().Definitions() {
		out.Body.Definitions = append(out.Body.Definitions, d.Describe())
	}
	return out, nil
}

type definitionInput struct {
	Name    httpserver.Text `path:"name" maxLength:"128"`
	Version int             `query:"version" minimum:"0" maximum:"2147483647" doc:"The newest if left out"`
	Format  string          `query:"format" enum:"json,mermaid,svg" default:"json"`
}

type definitionOutput struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (a *API) definition(_ context.Context, in *definitionInput) (*definitionOutput, error) {
	d, ok := a.Sagas.Registry().Definition(string(in.Name), in.Version)
	if !ok {
		return nil, errNoDefinition
	}
	switch in.Format {
	case "mermaid":
		return &definitionOutput{"text/plain; charset=utf-8", []byte(d.Mermaid())}, nil
	case "svg":
		return &definitionOutput{"image/svg+xml", []byte(d.SVG())}, nil
	default:
		body, err := json.Marshal(d.Describe())
		if err != nil {
			return nil, err
		}
		return &definitionOutput{"application/json", body}, nil
	}
}
