package publish

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A container as Azure's own client asks for it.
func TestContainerKeepsHeaders(t *testing.T) {
	d := Document{Body: []byte(`{"keys":[]}`), ContentType: "application/jwk-set+json", CacheControl: "public, max-age=300"}
	var kept []byte
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/account/oidc/cluster/"+KeySet || !strings.HasPrefix(r.Header.Get("Authorization"), "SharedKey account:"):
			w.WriteHeader(http.StatusForbidden)
		case r.Method == http.MethodPut:
			if r.Header.Get("x-ms-blob-content-type") != d.ContentType || r.Header.Get("x-ms-blob-cache-control") != d.CacheControl {
				t.Errorf("headers of the PUT: %v", r.Header)
			}
			kept, _ = io.ReadAll(r.Body)
			w.WriteHeader(http.StatusCreated)
		case kept == nil:
			w.Header().Set("x-ms-error-code", "BlobNotFound")
			w.WriteHeader(http.StatusNotFound)
		default:
			w.Write(kept)
		}
	}))
	defer service.Close()
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=account;AccountKey=a2V5;BlobEndpoint="+service.URL+"/account")
	p, err := Open("azblob://oidc?prefix=cluster/")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Read(t.Context(), KeySet); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read of nothing = %v, want fs.ErrNotExist", err)
	}
	if err := p.Write(t.Context(), KeySet, d); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Read(t.Context(), KeySet); err != nil || string(got) != string(d.Body) {
		t.Errorf("Read = %s, %v", got, err)
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
		"azblob://issuer?storage_account=other&domain=blob.example.test": true, "s3://": false, "s3://issuer?endpoint=minio.example.test": false,
		"s3://issuer?use_path_style=perhaps": false, "s3://issuer?awssdk=v2": false, "azblob://issuer?cdn=true": false,
		"file://" + t.TempDir(): true, t.TempDir() + "/new": true, "gs://issuer": false, "file://relative": false, "https://host/": false,
	} {
		p, err := Open(to)
		if (err == nil) != ok {
			t.Errorf("Open(%q) = %v, want success: %v", to, err, ok)
		}
		if p != nil {
			p.Close()
		}
	}
}
