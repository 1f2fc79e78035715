// Package protobuf checks Protobuf payloads against their schemas, for package schemaregistry.
package protobuf

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bufbuild/protocompile"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"waybill.example/chassis/schemaregistry"
)

// Format is Protobuf: a schema is a .proto file, which may import those that come with Protobuf.
var Format schemaregistry.Format = format{}

type format struct{}

func (format) Type() sr.SchemaType { return sr.TypeProtobuf }

// Compile implements [schemaregistry.Format]. name is relative to the file's package, such as
// Order or Order.Line; "" is the first message.
func (format) Compile(text, name string) (schemaregistry.Compiled, error) {
	const file = "schema.proto"
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(map[string]string{file: text}),
	})}
	files, err := compiler.Compile(context.Background(), file) // in memory
	if err != nil {
		return schemaregistry.Compiled{}, fmt.Errorf("parse the Protobuf schema: %w", err)
	}
	message, err := find(files[0], name)
	if err != nil {
		return schemaregistry.Compiled{}, err
	}
	return schemaregistry.Compiled{Index: index(message), Check: func(payload []byte) error {
		value := dynamicpb.NewMessage(message)
		if err := proto.Unmarshal(payload, value); err != nil {
			return err
		}
		return known(value)
	}}, nil
}

func find(file protoreflect.FileDescriptor, name string) (protoreflect.MessageDescriptor, error) {
	if name == "" {
		if file.Messages().Len() == 0 {
			return nil, errors.New("there is no message in the Protobuf schema")
		}
		return file.Messages().Get(0), nil
	}
	messages := file.Messages()
	for {
		head, rest, nested := cut(name)
		found := messages.ByName(head)
		switch {
		case found == nil:
			return nil, fmt.Errorf("there is no message %q in the Protobuf schema", name)
		case !nested:
			return found, nil
		}
		messages, name = found.Messages(), rest
	}
}

func cut(name string) (head protoreflect.Name, rest string, nested bool) {
	for i, c := range name {
		if c == '.' {
			return protoreflect.Name(name[:i]), name[i+1:], true
		}
	}
	return protoreflect.Name(name), "", false
}

// index is the way to a message: in the file, and in the messages around it.
func index(m protoreflect.MessageDescriptor) (path []int) {
	for d := protoreflect.Descriptor(m); ; d = d.Parent() {
		if _, ok := d.(protoreflect.FileDescriptor); ok {
			slices.Reverse(path)
			return path
		}
		path = append(path, d.Index())
	}
}

// known refuses fields that the schema does not have: of another message most bytes are such.
func known(m protoreflect.Message) (err error) {
	if len(m.GetUnknown()) > 0 {
		return fmt.Errorf("%s has fields that are not in its schema", m.Descriptor().FullName())
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				if err = known(value.List().Get(i).Message()); err != nil {
					return false
				}
			}
		default:
			err = known(value.Message())
		}
		return err == nil
	})
	return err
}
