package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is who the programs run as: nobody's, and not root's. Given as a number,
// so that the kubelet can tell that it is not root.
const user = 65532

// epoch is every file's and image's time: a build's own would make each build differ.
var epoch = time.Unix(0, 0).UTC()

type dir struct {
	name  string
	mode  int64
	owner int
}

// image holds the program, the public CAs, and nothing else: no shell, no library.
func image(p program, b binary, platform v1.Platform) (v1.Image, error) {
	files, err := tarFiles(p, b.content)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files)), nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.Append(base, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "go build " + p.pkg},
	})
	if err != nil {
		return nil, err
	}
	labels := map[string]string{
		"org.opencontainers.image.title":       p.name,
		"org.opencontainers.image.description": p.description,
		"org.opencontainers.image.source":      "https://github.com/lanyard-io/lanyard",
		"org.opencontainers.image.licenses":    "Apache-2.0",
	}
	if b.revision != "" {
		labels["org.opencontainers.image.revision"] = b.revision
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Created, config.OS, config.Architecture, config.Variant = v1.Time{Time: epoch}, platform.OS, platform.Architecture, platform.Variant
	config.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", user, user),
		Entrypoint: []string{"/" + binDir + p.name},
		Env:        append([]string{"PATH=/" + strings.TrimSuffix(binDir, "/")}, p.env...),
		WorkingDir: "/",
		Labels:     labels,
	}
	return mutate.ConfigFile(img, config)
}

const binDir = "usr/local/bin/"

// tarFiles is the one layer.
func tarFiles(p program, binary []byte) ([]byte, error) {
	roots, err := publicCAs()
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	dirs := append([]dir{
		{"etc", 0o755, 0}, {"etc/ssl", 0o755, 0}, {"etc/ssl/certs", 0o755, 0},
		{"usr", 0o755, 0}, {"usr/local", 0o755, 0}, {"usr/local/bin", 0o755, 0},
	}, p.dirs...)
	for _, d := range dirs {
		if err := w.WriteHeader(&tar.Header{
			Typeflag: tar.TypeDir, Name: d.name + "/", Mode: d.mode, Uid: d.owner, Gid: d.owner, ModTime: epoch,
		}); err != nil {
			return nil, err
		}
	}
	for _, f := range []struct {
		name    string
		mode    int64
		content []byte
	}{
		// Programs that look up their own user find a name.
		{"etc/passwd", 0o644, fmt.Appendf(nil, "root:x:0:0:root:/:/sbin/nologin\nlanyard:x:%d:%d:lanyard:/:/sbin/nologin\n", user, user)},
		{"etc/group", 0o644, fmt.Appendf(nil, "root:x:0:\nlanyard:x:%d:\n", user)},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, roots},
		{binDir + p.name, 0o755, binary},
	} {
		if err := w.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: epoch,
		}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// publicCAs are the CAs that the Go project takes from Mozilla, without those
// that are trusted under a condition, which a PEM file cannot say.
func publicCAs() ([]byte, error) {
	var out []byte
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})...)
		}
	}
	if out == nil {
		return nil, errors.New("found no public CA")
	}
	return out, nil
}
