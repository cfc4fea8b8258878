package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

var amd64 = v1.Platform{OS: "linux", Architecture: "amd64"}
var arm64 = v1.Platform{OS: "linux", Architecture: "arm64"}

// archive writes an image of a small program for two platforms.
func archive(t *testing.T, name string) (file string, digest v1.Hash) {
	t.Helper()
	p, ok := find(name)
	if !ok {
		t.Fatalf("no image %q", name)
	}
	var images []platformImage
	for _, platform := range []v1.Platform{amd64, arm64} {
		img, err := image(p, binary{content: []byte("program for " + platform.Architecture), revision: "abc"}, platform)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, platformImage{img, platform})
	}
	file = filepath.Join(t.TempDir(), name+".tar")
	digest, err := writeArchive(file, "localhost/"+name+":dev", images)
	if err != nil {
		t.Fatal(err)
	}
	return file, digest
}

func untar(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := t.TempDir()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else {
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, b, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestArchive(t *testing.T) {
	file, digest := archive(t, "lanyard")
	dir := untar(t, file)
	outer, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(outer); err != nil {
		t.Error(err)
	}
	manifest, err := outer.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Digest != digest {
		t.Fatalf("index.json lists %v, want %s alone", manifest.Manifests, digest)
	}
	if got := manifest.Manifests[0].Annotations["io.containerd.image.name"]; got != "localhost/lanyard:dev" {
		t.Errorf("the image's name is %q", got)
	}
	inner, err := outer.ImageIndex(digest)
	if err != nil {
		t.Fatal(err)
	}
	platforms, err := inner.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []v1.Platform{amd64, arm64} {
		if got := platforms.Manifests[i].Platform; !got.Equals(want) {
			t.Errorf("platform %d is %s, want %s", i, got, want)
		}
		img, err := inner.Image(platforms.Manifests[i].Digest)
		if err != nil {
			t.Fatal(err)
		}
		checkImage(t, img, want)
	}

	var saved []struct{ Config string }
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &saved); err != nil || len(saved) != 1 {
		t.Fatalf("manifest.json %s: %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(saved[0].Config))); err != nil {
		t.Error(err)
	}
}

func checkImage(t *testing.T, img v1.Image, want v1.Platform) {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" || config.Architecture != want.Architecture {
		t.Errorf("user %q, architecture %q", config.Config.User, config.Architecture)
	}
	if got := config.Config.Entrypoint; len(got) != 1 || got[0] != "/usr/local/bin/lanyard" {
		t.Errorf("entry point %q", got)
	}
	found := map[string]*tar.Header{}
	content := map[string][]byte{}
	fs := mutate.Extract(img)
	defer fs.Close()
	for r := tar.NewReader(fs); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(h.Name, "/")
		found[name] = h
		if content[name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := string(content["usr/local/bin/lanyard"]), "program for "+want.Architecture; got != want {
		t.Errorf("the program is %q, want %q", got, want)
	}
	if h := found["var/lib/lanyard"]; h == nil || h.Uid != user || h.Mode&0o777 != 0o700 {
		t.Errorf("data directory: %+v", h)
	}
	if n := bytes.Count(content["etc/ssl/certs/ca-certificates.crt"], []byte("BEGIN CERTIFICATE")); n < 50 {
		t.Errorf("%d public CAs, want more", n)
	}
	for name, h := range found {
		if h.Mode&0o6000 != 0 {
			t.Errorf("%s is set-id", name)
		}
	}
}

func TestSameInputSameBytes(t *testing.T) {
	first, _ := archive(t, "quickstart")
	second, _ := archive(t, "quickstart")
	a, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("two archives of the same image differ")
	}
}

func TestParse(t *testing.T) {
	c, err := parse([]string{"-platforms", "linux/arm64", "-images", "quickstart", "-registry", "r.example/x", "-tag", "1"})
	if err != nil || len(c.platforms) != 1 || !c.platforms[0].Equals(arm64) || len(c.programs) != 1 || c.registry != "r.example/x" || c.tag != "1" {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, args := range [][]string{
		{"-platforms", "windows/amd64"}, {"-platforms", "linux/s390x"}, {"-platforms", ""}, {"-images", "other"}, {"more"},
	} {
		if _, err := parse(args); err == nil {
			t.Errorf("parse(%q) succeeded", args)
		}
	}
}
