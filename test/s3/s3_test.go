// Package s3_test publishes an issuer to a real S3 server.
package s3_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	accessKey = "publisher"
	secretKey = "a-secret-for-this-test"
)

// serve runs the server until the end of the test, with an empty bucket, and
// gives its URL and the folder in which the bucket's objects are files.
func serve(t *testing.T, bucket string) (url, objects string) {
	t.Helper()
	program := os.Getenv("LANYARD_S3_SERVER")
	if program == "" {
		t.Skip("it needs an S3 server: test/s3/run builds one")
	}
	root := t.TempDir()
	objects = filepath.Join(root, bucket)
	if err := os.Mkdir(objects, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var log bytes.Buffer
	server := exec.Command(program, "--port", address, "posix", "--sidecar", t.TempDir(), root)
	server.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+accessKey, "ROOT_SECRET_KEY="+secretKey)
	server.Stdout, server.Stderr = &log, &log
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return "http://" + address, objects
		}
		if time.Now().After(end) {
			t.Fatalf("the S3 server does not answer:\n%s", &log)
		}
	}
}

// lanyard runs the program with keys in its environment, and gives all that it says.
func lanyard(t *testing.T, secret string, args ...string) (string, error) {
	t.Helper()
	c := exec.Command(os.Getenv("LANYARD_BIN"), args...)
	c.Env = []string{"HOME=" + t.TempDir(), "AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_REGION=us-east-1"}
	out, err := c.CombinedOutput()
	return string(out), err
}

// headers are those that the bucket serves an object with.
func headers(t *testing.T, url, object string) (contentType, cacheControl string) {
	t.Helper()
	c, err := minio.New(strings.TrimPrefix(url, "http://"), &minio.Options{Creds: credentials.NewStaticV4(accessKey, secretKey, ""), BucketLookup: minio.BucketLookupPath})
	if err != nil {
		t.Fatal(err)
	}
	o, err := c.StatObject(t.Context(), "issuer", object, minio.StatObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return o.ContentType, o.Metadata.Get("Cache-Control")
}

func TestPublishToBucket(t *testing.T) {
	url, objects := serve(t, "issuer")
	dir := t.TempDir()
	private, public := filepath.Join(dir, "sa.key"), filepath.Join(dir, "sa.pub")
	for _, args := range [][]string{
		{"genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private},
		{"pkey", "-in", private, "-pubout", "-out", public},
	} {
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl: %v\n%s", err, out)
		}
	}
	publish := []string{
		"issuer", "publish", "--public-keys", public, "--issuer-url", "https://127.0.0.1:1/cluster", "--no-check",
		fmt.Sprintf("s3://issuer?endpoint=%s&use_path_style=true&prefix=cluster/", url),
	}
	if out, err := lanyard(t, "another-secret", publish...); err == nil || !strings.Contains(out, "signature") {
		t.Errorf("with a wrong key: %v\n%s", err, out)
	}
	if found, _ := os.ReadDir(objects); len(found) != 0 {
		t.Errorf("a wrong key left %v", found)
	}
	out, err := lanyard(t, secretKey, publish...)
	if err != nil || !strings.Contains(out, "read it back") {
		t.Fatalf("%v\n%s", err, out)
	}
	document, err := os.ReadFile(filepath.Join(objects, "cluster", ".well-known", "openid-configuration"))
	if err != nil || !strings.Contains(string(document), `"issuer": "https://127.0.0.1:1/cluster"`) {
		t.Errorf("%v\n%s", err, document)
	}
	if contentType, cacheControl := headers(t, url, "cluster/openid/v1/jwks"); contentType != "application/jwk-set+json" || !strings.Contains(cacheControl, "max-age=") {
		t.Errorf("the key set is %q, and kept for %q", contentType, cacheControl)
	}
	out, err = lanyard(t, secretKey, publish...)
	if err != nil || !strings.Contains(out, "nothing to change") {
		t.Errorf("the second time: %v\n%s", err, out)
	}
}
