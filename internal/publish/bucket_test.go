package publish

import (
	"errors"
	"io/fs"
	"testing"

	"gocloud.dev/blob/memblob"
)

func TestBucketKeepsHeaders(t *testing.T) {
	p := &bucket{memblob.OpenBucket(nil)}
	defer p.Close()
	if _, err := p.Read(t.Context(), KeySet); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read of nothing = %v, want fs.ErrNotExist", err)
	}
	d := Document{Body: []byte(`{"keys":[]}`), ContentType: "application/jwk-set+json", CacheControl: "public, max-age=300"}
	if err := p.Write(t.Context(), KeySet, d); err != nil {
		t.Fatal(err)
	}
	got, err := p.Read(t.Context(), KeySet)
	if err != nil || string(got) != string(d.Body) {
		t.Errorf("Read = %s, %v", got, err)
	}
	a, err := p.b.Attributes(t.Context(), KeySet)
	if err != nil || a.ContentType != d.ContentType || a.CacheControl != d.CacheControl {
		t.Errorf("Attributes = %+v, %v", a, err)
	}
}

func TestOpenKnowsItsPlaces(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "key")
	t.Setenv("AZURE_STORAGE_ACCOUNT", "account")
	t.Setenv("AZURE_STORAGE_KEY", "a2V5")
	for to, ok := range map[string]bool{
		"s3://issuer?endpoint=https://minio.example.test&use_path_style=true&prefix=a/": true, "azblob://issuer": true,
		"file://" + t.TempDir(): true, t.TempDir() + "/new": true, "gs://issuer": false, "file://relative": false, "https://host/": false,
	} {
		p, err := Open(t.Context(), to)
		if (err == nil) != ok {
			t.Errorf("Open(%q) = %v, want success: %v", to, err, ok)
		}
		if p != nil {
			p.Close()
		}
	}
}
