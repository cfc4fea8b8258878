package names_test

import (
	"reflect"
	"testing"

	"github.com/lanyard-io/lanyard/internal/names"
)

func TestZoned(t *testing.T) {
	n, err := names.New(names.Config{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := n.Zoned([]string{"kv-dev", "vault=kv-test"})
	if want := (map[names.Surface][]string{names.Vault: {"kv-dev", "kv-test"}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if _, err := n.Zoned([]string{"kv-dev", "moon=kv"}); err == nil || err.Error() != `"moon=kv": no zone "moon"` {
		t.Errorf("an unknown zone: %v", err)
	}
}
