package main

import (
	"fmt"
	"maps"
	"slices"

	kiota "github.com/microsoft/kiota-abstractions-go"
	"github.com/microsoft/kiota-abstractions-go/serialization"
)

// fields are the readers of a thing's members.
type fields = map[string]func(serialization.ParseNode) error

// object stands for the SDK's models of an application, a service principal and a
// federated credential.
type object struct {
	texts           map[string]string
	audiences, tags []string
}

func newObject(serialization.ParseNode) (serialization.Parsable, error) {
	return &object{texts: map[string]string{}}, nil
}

func (o *object) text(name string) string { return o.texts[name] }

func (o *object) Serialize(w serialization.SerializationWriter) error {
	for name, list := range map[string][]string{"audiences": o.audiences, "tags": o.tags} {
		if list != nil {
			if err := w.WriteCollectionOfStringValues(name, list); err != nil {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.texts)) {
		v := o.texts[name]
		if err := w.WriteStringValue(name, &v); err != nil {
			return err
		}
	}
	return nil
}

func (o *object) GetFieldDeserializers() fields {
	all := fields{}
	for _, name := range []string{"id", "appId", "displayName", "name", "issuer", "subject", "description"} {
		all[name] = func(n serialization.ParseNode) error {
			v, err := n.GetStringValue()
			if v != nil {
				o.texts[name] = *v
			}
			return err
		}
	}
	return all
}

// collection is a page of a list.
type collection struct{ value []*object }

func newCollection(serialization.ParseNode) (serialization.Parsable, error) {
	return &collection{}, nil
}

func (c *collection) Serialize(serialization.SerializationWriter) error { return nil }

func (c *collection) GetFieldDeserializers() fields {
	return fields{"value": func(n serialization.ParseNode) error {
		values, err := n.GetCollectionOfObjectValues(newObject)
		for _, v := range values {
			c.value = append(c.value, v.(*object))
		}
		return err
	}}
}

// graphError is the SDK's ODataError. An answer that has no code is none of Graph's.
type graphError struct {
	kiota.ApiError
	code, message string
}

func newGraphError(serialization.ParseNode) (serialization.Parsable, error) {
	return &graphError{ApiError: *kiota.NewApiError()}, nil
}

func (e *graphError) Error() string {
	return fmt.Sprintf("%d, code: %s, message: %s", e.ResponseStatusCode, e.code, e.message)
}

func (e *graphError) Serialize(serialization.SerializationWriter) error { return nil }

func (e *graphError) GetFieldDeserializers() fields {
	return fields{"error": func(n serialization.ParseNode) error {
		_, err := n.GetObjectValue(func(serialization.ParseNode) (serialization.Parsable, error) { return &mainError{e}, nil })
		return err
	}}
}

// mainError is what ODataError holds, and reads innerError's time as the SDK does.
type mainError struct{ in *graphError }

func (m *mainError) Serialize(serialization.SerializationWriter) error { return nil }

func (m *mainError) GetFieldDeserializers() fields {
	text := func(to *string) func(serialization.ParseNode) error {
		return func(n serialization.ParseNode) error {
			v, err := n.GetStringValue()
			if v != nil {
				*to = *v
			}
			return err
		}
	}
	return fields{
		"code": text(&m.in.code), "message": text(&m.in.message),
		"innerError": func(n serialization.ParseNode) error {
			date, err := n.GetChildNode("date")
			if err == nil && date != nil {
				_, err = date.GetTimeValue()
			}
			return err
		},
	}
}
