package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// descriptor names content by its hash.
// https://github.com/opencontainers/image-spec/blob/main/descriptor.md
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    map[string]string `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// archive is an OCI image layout in one file.
type archive struct{ tar *tar.Writer }

// image writes an archive whose only program is the entry point, in the shape
// that `ctr images import` takes.
func image(args []string) error {
	var name, program, out string
	var command []string
	err := parse("image", args, func(f *flag.FlagSet) {
		f.StringVar(&name, "name", "", "full name, such as localhost/pause:1")
		f.StringVar(&program, "program", "", "static program")
		f.StringVar(&out, "out", "", "archive to write")
		f.Func("arg", "of the program, unless a pod gives some", func(s string) error {
			command = append(command, s)
			return nil
		})
	})
	if err != nil {
		return err
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	entry := filepath.Base(program)
	layer, err := layer(entry, binary)
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	a := archive{tar.NewWriter(f)}
	if err := a.write(name, entry, command, layer); err != nil {
		return err
	}
	if err := a.tar.Close(); err != nil {
		return err
	}
	return f.Close()
}

func layer(entry string, binary []byte) ([]byte, error) {
	var b bytes.Buffer
	w := archive{tar.NewWriter(&b)}
	passwd := []byte("root:x:0:0::/:\nnonroot:x:65532:65532::/:\n")
	for _, dir := range []struct {
		name string
		mode int64
	}{{"etc/", 0o755}, {"tmp/", 0o1777}} {
		if err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir.name, Mode: dir.mode}); err != nil {
			return nil, err
		}
	}
	if err := w.file("etc/passwd", 0o644, passwd); err != nil {
		return nil, err
	}
	if err := w.file(entry, 0o755, binary); err != nil {
		return nil, err
	}
	return b.Bytes(), w.tar.Close()
}

func (a archive) write(name, entry string, command []string, layer []byte) error {
	platform := map[string]string{"os": "linux", "architecture": runtime.GOARCH}
	layerOf, err := a.blob("application/vnd.oci.image.layer.v1.tar", layer)
	if err != nil {
		return err
	}
	config, err := a.document("application/vnd.oci.image.config.v1+json", map[string]any{
		"os": platform["os"], "architecture": platform["architecture"],
		"config": map[string]any{"Entrypoint": []string{"/" + entry}, "Cmd": command, "Env": []string{"PATH=/"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layerOf.Digest}},
	})
	if err != nil {
		return err
	}
	manifest, err := a.document("application/vnd.oci.image.manifest.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []descriptor{layerOf},
	})
	if err != nil {
		return err
	}
	manifest.Platform = platform
	manifest.Annotations = map[string]string{"io.containerd.image.name": name}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{manifest}})
	if err != nil {
		return err
	}
	if err := a.file("index.json", 0o644, index); err != nil {
		return err
	}
	return a.file("oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`))
}

func (a archive) document(mediaType string, v any) (descriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	return a.blob(mediaType, b)
}

func (a archive) blob(mediaType string, b []byte) (descriptor, error) {
	sum := sha256.Sum256(b)
	d := descriptor{MediaType: mediaType, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: len(b)}
	return d, a.file("blobs/"+strings.ReplaceAll(d.Digest, ":", "/"), 0o644, b)
}

func (a archive) file(name string, mode int64, b []byte) error {
	if err := a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(b))}); err != nil {
		return err
	}
	_, err := a.tar.Write(b)
	return err
}
