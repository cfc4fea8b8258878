// Package lanyard_test keeps the repository's own rules: who may import whom,
// and what no source file may do.
package lanyard_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/lanyard-io/lanyard/"

// std marks a package that may import none of our own.
var std = []string{}

// anything marks a package that puts others together.
var anything []string

// mayImport lists for every package which of our own packages its non-test code
// may import. The surfaces never import each other.
var mayImport = map[string][]string{
	"internal/model":           std,
	"internal/resid":           std,
	"internal/apierr":          std,
	"internal/names":           std,
	"internal/obs":             std,
	"internal/seal":            std,
	"internal/egress":          std,
	"internal/textfile":        std,
	"internal/outfile":         std,
	"internal/fault":           std,
	"internal/shell":           std,
	"internal/odata":           std,
	"internal/wi":              std,
	"internal/strictjson":      {"internal/apierr"},
	"internal/store":           {"internal/model", "internal/apierr", "internal/outfile", "internal/textfile"},
	"internal/signing":         {"internal/model", "internal/apierr", "internal/seal", "internal/store", "internal/strictjson"},
	"internal/trust":           {"internal/apierr", "internal/egress", "internal/strictjson"},
	"internal/limit":           std,
	"internal/peers":           {"internal/audit", "internal/model", "internal/store"},
	"internal/audit":           {"internal/model", "internal/apierr", "internal/limit", "internal/obs"},
	"internal/access":          {"internal/model", "internal/apierr", "internal/audit", "internal/names", "internal/obs", "internal/store"},
	"internal/httpx":           {"internal/model", "internal/apierr", "internal/names", "internal/obs", "internal/strictjson"},
	"internal/kube":            {"internal/egress", "internal/fault", "internal/strictjson", "internal/textfile"},
	"internal/kube/kubetest":   std,
	"internal/webhook":         {"internal/admission", "internal/httpx", "internal/kube", "internal/obs", "internal/pki", "internal/textfile", "internal/wi"},
	"internal/pki":             {"internal/textfile"},
	"internal/password":        {"internal/apierr"},
	"internal/prompt":          {"internal/fault"},
	"internal/verdict":         {"internal/client", "internal/fault", "internal/manage"},
	"internal/proxy":           {"internal/names"},
	"internal/clusterdns":      {"internal/kube", "internal/model", "internal/names", "internal/store"},
	"deploy":                   {"internal/wi"},
	"internal/signin":          {"internal/apierr", "internal/limit", "internal/model", "internal/password", "internal/seal", "internal/store"},
	"internal/sts":             surface,
	"internal/arm":             surface,
	"internal/graph":           surface,
	"internal/vault":           surface,
	"internal/items":           {"internal/apierr", "internal/model", "internal/seal", "internal/store"},
	"internal/client":          {"internal/fault", "internal/names", "internal/textfile"},
	"internal/manage":          {"internal/access", "internal/audit", "internal/client", "internal/fault", "internal/model", "internal/odata", "internal/shell", "internal/wi"},
	"internal/cluster":         {"deploy", "internal/admission", "internal/apierr", "internal/egress", "internal/kube", "internal/model", "internal/pki", "internal/seal", "internal/store", "internal/strictjson", "internal/trust", "internal/wi"},
	"internal/azcli":           {"internal/fault", "internal/names", "internal/shell"},
	"internal/browser":         {"internal/fault", "internal/names"},
	"internal/sdkenv":          {"internal/fault", "internal/server", "internal/shell", "internal/wi"},
	"internal/settings":        {"internal/shell", "internal/textfile"},
	"internal/serviceaccount":  {"internal/client", "internal/fault", "internal/kube", "internal/manage", "internal/wi"},
	"internal/explain":         {"internal/audit"},
	"internal/trail":           {"internal/audit", "internal/manage"},
	"internal/table":           {"internal/prompt"},
	"internal/devissuer":       {"internal/model", "internal/wi"},
	"internal/doctor":          {"internal/client", "internal/fault", "internal/kube", "internal/manage", "internal/wi"},
	"internal/publish":         {"internal/fault", "internal/kube", "internal/textfile", "internal/trust"},
	"internal/quickstart":      {"internal/wi"},
	"internal/imds":            {"internal/httpx"},
	"internal/imds/machine":    {"internal/fault", "internal/imds", "internal/manage", "internal/shell", "internal/wi"},
	"internal/imds/redirect":   std,
	"internal/store/embedded":  {"internal/store", "internal/apierr"},
	"internal/admission":       {"internal/apierr", "internal/obs", "internal/wi"},
	"internal/trust/trusttest": {"internal/wi"},
	"internal/wiretest":        std,
	"internal/store/storetest": {"internal/store", "internal/store/embedded"},
	"internal/surfacetest":     {"internal/access", "internal/apierr", "internal/audit", "internal/httpx", "internal/model", "internal/names", "internal/seal", "internal/signing", "internal/store", "internal/store/storetest", "internal/wiretest"},
	"internal/server":          anything,
	"internal/demo":            anything,
	"cmd/lanyard":              anything,
	"cmd/quickstart":           {"internal/quickstart"},
	"lanyardtest":              anything,
	"deploy/images":            std,

	"internal/manage/asadmin":    {"internal/client", "internal/names", "internal/server"},
	"internal/manage/managetest": {"internal/client", "internal/manage", "internal/manage/asadmin", "internal/server", "internal/textfile"},
}

var surface = []string{
	"internal/access", "internal/apierr", "internal/audit", "internal/egress", "internal/httpx", "internal/items", "internal/limit", "internal/model", "internal/names",
	"internal/obs", "internal/odata", "internal/password", "internal/resid", "internal/seal", "internal/signin", "internal/signing", "internal/store", "internal/strictjson", "internal/trust", "internal/wi",
}

// onlyImporter lists outside modules that one package alone may import.
var onlyImporter = map[string][]string{
	"go.etcd.io/etcd/server":                 {"internal/store/embedded", "internal/store/storetest"},
	"go.etcd.io/etcd/client":                 {"internal/store", "internal/store/embedded"},
	"go.etcd.io/etcd/api":                    {"internal/store", "internal/store/embedded"},
	"go.etcd.io/etcd/etcdutl":                {"internal/store/embedded"},
	"go.etcd.io/bbolt":                       {"internal/store/embedded"},
	"k8s.io/utils":                           {"internal/store"},
	"github.com/tink-crypto":                 {"internal/seal"},
	"github.com/spf13":                       {"cmd/lanyard", "internal/settings"},
	"github.com/KimMachineGun":               {"cmd/lanyard"},
	"github.com/go-jose":                     {"internal/trust", "internal/devissuer"},
	"github.com/Azure":                       {"internal/client", "internal/manage", "internal/verdict", "internal/quickstart", "internal/demo", "internal/publish", "lanyardtest"},
	"github.com/minio":                       {"internal/publish"},
	"k8s.io/klog":                            {"internal/quickstart", "internal/kube"},
	"github.com/google/go-containerregistry": {"deploy/images"},
	"golang.org/x/crypto/x509roots":          {"deploy/images"},
	"github.com/prometheus":                  {"internal/obs", "internal/httpx", "internal/trust", "internal/store", "internal/server", "internal/signing", "internal/audit", "internal/admission", "internal/webhook", "internal/surfacetest"},
	"k8s.io/client-go":                       {"internal/kube"},
	"github.com/google/nftables":             {"internal/imds/redirect"},
	"k8s.io/apimachinery":                    {"internal/kube"},
	"github.com/go-logr":                     {"internal/kube"},
}

// stdOnly packages import no outside module at all.
var stdOnly = []string{"internal/egress", "internal/fault", "internal/model", "internal/odata", "internal/outfile", "internal/resid", "internal/apierr", "internal/names", "internal/shell", "internal/wi"}

type source struct {
	dir     string // slash-separated, from the root
	name    string
	imports []string
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || path == filepath.FromSlash("test/clients")) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		s := source{dir: filepath.ToSlash(filepath.Dir(path)), name: filepath.ToSlash(path)}
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, p)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("found only %d source files: is the test looking in the right place?", len(all))
	}
	return all
}

func TestImportFences(t *testing.T) {
	unused := maps.Clone(mayImport)
	for _, s := range sources(t) {
		allowed, fenced := mayImport[s.dir]
		if delete(unused, s.dir); !fenced && !strings.HasPrefix(s.dir, "test/") {
			t.Errorf("%s: the package has no fence: add its row to mayImport", s.name)
		}
		for _, imp := range s.imports {
			own, isOwn := strings.CutPrefix(imp, module)
			if isOwn && allowed != nil && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s, which is outside %s's fence", s.name, own, s.dir)
			}
			if isOwn && (own == "cmd/lanyard" || strings.HasPrefix(s.dir, "internal/") && own == "lanyardtest") {
				t.Errorf("%s imports %s: nothing inside may", s.name, own)
			}
			if strings.HasPrefix(own, "internal/") && strings.HasSuffix(own, "test") && !strings.HasSuffix(s.dir, "test") && !strings.HasPrefix(s.dir, "test/") {
				t.Errorf("%s imports %s: only tests may", s.name, own)
			}
			if !isOwn && slices.Contains(stdOnly, s.dir) && strings.Contains(strings.Split(imp, "/")[0], ".") {
				t.Errorf("%s imports %s: %s uses the standard library only", s.name, imp, s.dir)
			}
			for outside, importers := range onlyImporter {
				if strings.HasPrefix(imp, outside) && !slices.Contains(importers, s.dir) && !strings.HasPrefix(s.dir, "test/") {
					t.Errorf("%s imports %s: only %v may", s.name, imp, importers)
				}
			}
		}
	}
	for dir := range unused {
		t.Errorf("there is no package %s: take its fence away", dir)
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash(s.name), nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		documented[s.dir] = documented[s.dir] || f.Doc.Text() != ""
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no doc comment", dir)
		}
	}
}

func TestMainIsShort(t *testing.T) {
	b, err := os.ReadFile("cmd/lanyard/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(b, []byte("\n")); n > 60 {
		t.Errorf("cmd/lanyard/main.go has %d lines, want at most 60", n)
	}
}
