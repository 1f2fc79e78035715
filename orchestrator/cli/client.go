package cli

import (
	"bytes"
	"context"
	"strconv"

	"waybill.example/chassis/apiclient"
)

// show calls the API and prints the answer, as JSON or for people.
func (s *Saga) show(t Terminal, method, path string, body, into any, human func(*printer)) error {
	answer, err := s.call(t.Context, method, path, body)
	if err != nil {
		return err
	}
	if !s.JSON {
		if err := s.client().Decode(answer, into); err != nil {
			return err
		}
	}
	return s.print(t, answer, human)
}

// print writes an answer as JSON, or for people.
func (s *Saga) print(t Terminal, answer []byte, human func(*printer)) error {
	if s.JSON {
		_, err := t.Out.Write(append(bytes.TrimSpace(answer), '\n'))
		return err
	}
	p := &printer{}
	human(p)
	_, err := p.WriteTo(t.Out)
	return err
}

func (s *Saga) call(ctx context.Context, method, path string, body any) ([]byte, error) {
	request := apiclient.Request{Method: method, Path: path, Body: body}
	if s.ifMatch > 0 {
		request.IfMatch = strconv.Quote(strconv.Itoa(s.ifMatch))
	}
	return s.client().Do(ctx, request)
}

func (s *Saga) client() apiclient.Client { return s.Client("orchestrator", "ORCHESTRATOR") }
