package arm

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/httpx"
)

// The extension that `az extension add --name aks-preview` finds here. It adds no
// command: the CLI itself has had those for workload identity since 2.47, and they do
// the work.
const (
	extensionName    = "aks-preview"
	extensionModule  = "azext_aks_preview"
	extensionVersion = "1.0.0"
	extensionFile    = "aks_preview-" + extensionVersion + "-py2.py3-none-any.whl"
	extensionSummary = "Marker for Lanyard: the features are in the core CLI"
	extensionInfo    = "aks_preview-" + extensionVersion + ".dist-info/"
)

// extensionMetadata is azext_metadata.json, which az reads before it loads anything.
type extensionMetadata struct {
	MinVersion string `json:"azext.minCliCoreVersion"`
	Preview    bool   `json:"azext.isPreview"`
	Name       string `json:"name,omitempty"` // these only in the index
	Version    string `json:"version,omitempty"`
	Summary    string `json:"summary,omitempty"`
}

// extensionIndex is the format of https://aka.ms/azure-cli-extension-index-v1.
type extensionIndex struct {
	Format     string                    `json:"formatVersion"`
	Extensions map[string][]extensionRef `json:"extensions"`
}

type extensionRef struct {
	URL      string            `json:"downloadUrl"`
	File     string            `json:"filename"`
	SHA256   string            `json:"sha256Digest"`
	Metadata extensionMetadata `json:"metadata"`
}

func (s *Server) extensionRoutes() []httpx.Route {
	return []httpx.Route{
		{Pattern: "GET /extensions/index.json", Op: "extension.list", MaxBody: httpx.NoBody, Timeout: readTimeout, Handle: s.extensionIndex},
		{Pattern: "GET /extensions/" + extensionFile, Op: "extension.get", MaxBody: httpx.NoBody, Timeout: readTimeout, Handle: s.extensionWheel},
	}
}

func (s *Server) extensionIndex(w http.ResponseWriter, r *http.Request) error {
	wheel, err := s.wheel()
	if err != nil {
		return err
	}
	family, _ := httpx.Target(r)
	sum := sha256.Sum256(wheel)
	metadata := extensionMetadata{MinVersion: minAZ, Name: extensionName, Version: extensionVersion, Summary: extensionSummary}
	return httpx.WriteJSON(w, http.StatusOK, extensionIndex{
		Format: "1",
		Extensions: map[string][]extensionRef{extensionName: {{
			URL: family.ManagementURL() + "/extensions/" + extensionFile, File: extensionFile,
			SHA256: hex.EncodeToString(sum[:]), Metadata: metadata,
		}}},
	})
}

func (s *Server) extensionWheel(w http.ResponseWriter, _ *http.Request) error {
	wheel, err := s.wheel()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/zip")
	_, _ = w.Write(wheel) // lost only with the connection, which the edge notes
	return nil
}

// minAZ is the oldest az that has these commands itself.
const minAZ = "2.47.0"

const extensionLoader = `from azure.cli.core import AzCommandsLoader


class MarkerCommandsLoader(AzCommandsLoader):
    def load_command_table(self, args):
        return {}

    def load_arguments(self, command):
        pass


COMMAND_LOADER_CLS = MarkerCommandsLoader
`

// buildWheel makes the extension: the same bytes every time, because the index
// gives their hash and replicas answer for each other.
// https://packaging.python.org/specifications/binary-distribution-format/
func buildWheel() ([]byte, error) {
	metadata, err := json.Marshal(extensionMetadata{MinVersion: minAZ})
	if err != nil {
		return nil, err
	}
	files := []struct{ name, content string }{
		{extensionModule + "/__init__.py", extensionLoader},
		{extensionModule + "/azext_metadata.json", string(metadata)},
		{extensionInfo + "METADATA", "Metadata-Version: 2.1\nName: " + extensionName + "\nVersion: " + extensionVersion + "\nSummary: " + extensionSummary + "\n"},
		{extensionInfo + "WHEEL", "Wheel-Version: 1.0\nGenerator: lanyard\nRoot-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n"},
		{extensionInfo + "top_level.txt", extensionModule + "\n"},
	}
	var record strings.Builder
	for _, f := range files {
		sum := sha256.Sum256([]byte(f.content))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", f.name, base64.RawURLEncoding.EncodeToString(sum[:]), len(f.content))
	}
	fmt.Fprintf(&record, "%sRECORD,,\n", extensionInfo)
	files = append(files, struct{ name, content string }{extensionInfo + "RECORD", record.String()})

	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		// Stored, not deflated: the compressor's output may differ between Go versions.
		h := &zip.FileHeader{Name: f.name, Method: zip.Store}
		h.SetMode(0o644)
		w, err := z.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write([]byte(f.content)); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
