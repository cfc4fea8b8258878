package arm_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"testing"
)

// The index gives the wheel's hash, so every server must make the same bytes:
// a change of this hash needs a new version of the extension.
const wheelSHA256 = "accd30e7c4cf2ea08252a783dcb1b16b72f853e97e8bcf505de73f28f35129fe"

func TestExtensionIsWhatTheIndexSays(t *testing.T) {
	l := newLab(t)
	index := l.as("", "GET", "/extensions/index.json", "")
	all, _ := index.body["extensions"].(map[string]any)
	versions, _ := all["aks-preview"].([]any)
	if index.status != 200 || len(versions) != 1 {
		t.Fatalf("the index: status %d, %v", index.status, index.body)
	}
	ref := versions[0].(map[string]any)
	url, _ := ref["downloadUrl"].(string)
	resp, err := l.client.Get(url)
	l.check(err)
	defer resp.Body.Close()
	wheel, err := io.ReadAll(resp.Body)
	l.check(err)
	sum := sha256.Sum256(wheel)
	if got := hex.EncodeToString(sum[:]); got != ref["sha256Digest"] || got != wheelSHA256 {
		t.Errorf("the wheel's hash is %s, the index says %v, it was %s", got, ref["sha256Digest"], wheelSHA256)
	}
	if !strings.HasSuffix(url, "/"+ref["filename"].(string)) || !strings.HasPrefix(url, "https://"+host+"/") {
		t.Errorf("downloadUrl is %s, filename %v", url, ref["filename"])
	}
	z, err := zip.NewReader(bytes.NewReader(wheel), int64(len(wheel)))
	l.check(err)
	for _, f := range z.File {
		if !strings.HasPrefix(f.Name, "azext_aks_preview/") && !strings.HasPrefix(f.Name, "aks_preview-1.0.0.dist-info/") {
			t.Errorf("the wheel holds %s", f.Name)
		}
	}
}
