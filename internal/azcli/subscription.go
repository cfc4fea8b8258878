package azcli

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// Subscription is the one that az uses in a cloud, as its directory of settings says;
// empty when it says none.
// https://learn.microsoft.com/cli/azure/azure-cli-configuration
func Subscription(dir, cloud string) string {
	f, err := os.Open(filepath.Join(dir, "clouds.config"))
	if err != nil {
		return ""
	}
	defer f.Close()
	section := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
		}
		if key, value, ok := strings.Cut(line, "="); ok && section == cloud && strings.TrimSpace(key) == "subscription" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
