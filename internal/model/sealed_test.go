package model

import (
	"fmt"
	"reflect"
	"testing"
)

var sealedType = reflect.TypeFor[Sealed]()

// fillSealed puts a value of its own into every Sealed field, and counts them. A
// slice gets one element.
func fillSealed(v reflect.Value) (n int) {
	switch {
	case v.Type() == sealedType:
		v.SetBytes(fmt.Appendf(nil, "%s %d", v.Type(), v.Addr().UnsafePointer()))
		return 1
	case v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct:
		v.Set(reflect.New(v.Type().Elem()))
		return fillSealed(v.Elem())
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return fillSealed(v.Index(0))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				n += fillSealed(v.Field(i))
			}
		}
	}
	return n
}

// A sealed field that its owner does not name would be lost with the data key that
// sealed it.
func TestEverySealedFieldIsResealed(t *testing.T) {
	owners := 0
	for kind, newObject := range kinds {
		o := newObject()
		n := fillSealed(reflect.ValueOf(o).Elem())
		owner, ok := o.(SealedOwner)
		if ok != (n > 0) {
			t.Errorf("%s has %d sealed fields, and is a SealedOwner: %v", kind, n, ok)
		}
		if !ok {
			continue
		}
		owners++
		names, values := map[string]bool{}, map[string]bool{}
		next, err := owner.Reseal(func(v Sealed, name string) (Sealed, error) {
			names[name], values[string(v)] = true, true
			return Sealed("again"), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(names) != n || len(values) != n {
			t.Errorf("%s has %d sealed fields; %d were resealed, under %d names", kind, n, len(values), len(names))
		}
		if next == o || next.Key() != o.Key() {
			t.Errorf("%s: Reseal gives no copy", kind)
		}
	}
	if owners < 4 {
		t.Errorf("only %d kinds have sealed fields", owners)
	}
}
