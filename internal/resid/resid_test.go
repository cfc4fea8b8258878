package resid_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lanyard-io/lanyard/internal/resid"
)

const (
	sub   = "/subscriptions/11111111-2222-3333-4444-555555555555"
	group = sub + "/resourceGroups/Lab"
	vault = group + "/providers/Microsoft.KeyVault/vaults/KV1"
)

func TestParts(t *testing.T) {
	tests := []struct {
		in, typ, name, parent, scope string
		collection                   bool
	}{
		{in: "/", typ: "Microsoft.Resources", parent: "/", scope: "/"},
		{in: "/subscriptions", typ: "Microsoft.Resources/subscriptions", parent: "/", scope: "/", collection: true},
		{in: sub, typ: "Microsoft.Resources/subscriptions", name: sub[15:], parent: "/", scope: "/"},
		{in: group, typ: "Microsoft.Resources/subscriptions/resourceGroups", name: "Lab", parent: sub, scope: "/"},
		{in: group + "/resources", typ: "Microsoft.Resources/subscriptions/resourceGroups/resources", parent: group, scope: "/", collection: true},
		{in: sub + "/providers", typ: "Microsoft.Resources/subscriptions/providers", parent: sub, scope: "/", collection: true},
		{in: sub + "/providers/Microsoft.KeyVault", typ: "Microsoft.Resources/subscriptions/providers", name: "Microsoft.KeyVault", parent: sub, scope: "/"},
		{in: sub + "/providers/Microsoft.KeyVault/register", typ: "Microsoft.KeyVault/register", parent: sub, scope: sub, collection: true},
		{in: vault, typ: "Microsoft.KeyVault/vaults", name: "KV1", parent: group, scope: group},
		{in: vault + "/accessPolicies/add", typ: "Microsoft.KeyVault/vaults/accessPolicies", name: "add", parent: vault, scope: group},
		{in: sub + "/providers/Microsoft.KeyVault/vaults", typ: "Microsoft.KeyVault/vaults", parent: sub, scope: sub, collection: true},
		{in: vault + "/providers/Microsoft.Authorization/roleAssignments/r", typ: "Microsoft.Authorization/roleAssignments", name: "r", parent: vault, scope: vault},
		{in: "/providers/Microsoft.Authorization/roleAssignments/r", typ: "Microsoft.Authorization/roleAssignments", name: "r", parent: "/", scope: "/"},
		{in: sub + "/providers/Microsoft.Features/providers/Microsoft.X/features/F", typ: "Microsoft.Features/providers/features", name: "F", parent: sub + "/providers/Microsoft.Features/providers/Microsoft.X", scope: sub},
		{in: sub + "/providers/Microsoft.Features/providers/Microsoft.X/features", typ: "Microsoft.Features/providers/features", parent: sub + "/providers/Microsoft.Features/providers/Microsoft.X", scope: sub, collection: true},
	}
	for _, tt := range tests {
		id, err := resid.Parse(tt.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.in, err)
			continue
		}
		if id.String() != tt.in || id.Type() != tt.typ || id.Name() != tt.name || id.IsCollection() != tt.collection {
			t.Errorf("Parse(%q) = %q type %q name %q collection %t", tt.in, id, id.Type(), id.Name(), id.IsCollection())
		}
		if id.Parent().String() != tt.parent || id.Scope().String() != tt.scope {
			t.Errorf("Parse(%q): parent %q scope %q, want %q, %q", tt.in, id.Parent(), id.Scope(), tt.parent, tt.scope)
		}
	}
}

func TestBadIDsAreRefused(t *testing.T) {
	for _, in := range []string{
		"", "x", "//", "/subscriptions//resourceGroups/x", "/a/../b", "/a/./b", "/a/b\x00", "/a/b\n", "/a/b?c", "/a/b#c",
		`/a/b\c`, "/a/%2e", "/a/\xff", "/a/" + strings.Repeat("x", 261), "/" + strings.Repeat("a/", 2000),
		"/providers/a b/c", "/providers/.x/c", "/a/<b>", "/a/\u202e", "/a/\u212a", "/a/é",
	} {
		if id, err := resid.Parse(in); err == nil {
			t.Errorf("Parse(%q) = %q, want an error", in, id)
		}
	}
	for _, in := range []string{"/a/b%2Fc", "/a/%2e%2e", "/a/%00", "/a/%zz", "/a/%5c", "/a/%25", "/a/%ff"} {
		if id, err := resid.ParseEscaped(in); err == nil {
			t.Errorf("ParseEscaped(%q) = %q, want an error", in, id)
		}
	}
}

func TestLetterCaseMakesNoDifference(t *testing.T) {
	a, errA := resid.Parse(vault)
	b, errB := resid.Parse(strings.ToUpper(vault) + "/")
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if !a.Equal(b) || a.Key() != b.Key() || b.Group() != "LAB" || a.TypeKey() != b.TypeKey() {
		t.Errorf("%q and %q differ", a, b)
	}
}

func TestWithin(t *testing.T) {
	parse := func(s string) resid.ID {
		t.Helper()
		id, err := resid.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if v := parse(vault); !v.Within(resid.ID{}) || !v.Within(parse(sub)) || !v.Within(parse(strings.ToLower(group))) || !v.Within(v) {
		t.Errorf("%q is not within what holds it", v)
	}
	if parse(group + "2").Within(parse(group)) {
		t.Errorf("a group is within another whose name it begins with")
	}
}

func TestEveryAncestorIsShorter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segs := rapid.SliceOfN(rapid.SampledFrom([]string{"subscriptions", "resourceGroups", "providers", "Microsoft.X", "a", "b.c (d)"}), 1, 12).Draw(t, "segs")
		id, err := resid.Parse("/" + strings.Join(segs, "/"))
		if err != nil {
			return
		}
		checkAncestors(t, id)
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"/", vault, sub + "/providers/Microsoft.Features/providers/X/features/F", "/a/%2F", "/providers/providers/providers/providers"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := resid.ParseEscaped(s); err == nil {
			checkAncestors(t, id)
		}
		id, err := resid.Parse(s)
		if err != nil {
			return
		}
		again, err := resid.Parse(id.String())
		if err != nil || !again.Equal(id) || again.String() != id.String() {
			t.Fatalf("Parse(%q) = %q, read again %q, %v", s, id, again, err)
		}
		checkAncestors(t, id)
	})
}

func checkAncestors(t interface{ Fatalf(string, ...any) }, id resid.ID) {
	for at := id; !at.IsRoot(); {
		up := at.Parent()
		if len(up.String()) >= len(at.String()) || !at.Within(up) {
			t.Fatalf("parent of %q is %q", at, up)
		}
		again, err := resid.Parse(up.String())
		if err != nil || again.Type() != up.Type() || again.Name() != up.Name() {
			t.Fatalf("parent %q reads as %q %q, want %q %q (%v)", up, again.Type(), again.Name(), up.Type(), up.Name(), err)
		}
		at = up
	}
}
