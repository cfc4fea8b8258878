package admission

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Authority is the authority of an AZURE_ENVIRONMENT name, whatever its case;
// for AzureStackCloud it is read from stack, the content of the file that
// AZURE_ENVIRONMENT_FILEPATH names. Empty means AzurePublicCloud.
func Authority(environment string, stack []byte) (string, error) {
	switch strings.ToLower(environment) {
	case "", "azurepubliccloud", "azurecloud":
		return "https://login.microsoftonline.com/", nil
	case "azureusgovernmentcloud", "azureusgovernment":
		return "https://login.microsoftonline.us/", nil
	case "azurechinacloud":
		return "https://login.chinacloudapi.cn/", nil
	case "azuregermancloud":
		return "https://login.microsoftonline.de/", nil
	case "azurestackcloud":
		return stackAuthority(stack)
	}
	return "", fmt.Errorf("no cloud is named %q: write AzurePublicCloud, AzureUSGovernmentCloud, AzureChinaCloud, "+
		"AzureGermanCloud or AzureStackCloud", clip(environment))
}

func stackAuthority(stack []byte) (string, error) {
	var file struct {
		ActiveDirectoryEndpoint string `json:"activeDirectoryEndpoint"`
	}
	if err := json.Unmarshal(stack, &file); err != nil {
		return "", fmt.Errorf("reading the environment's file for AzureStackCloud: %w", err)
	}
	if err := checkURL(file.ActiveDirectoryEndpoint); err != nil {
		return "", fmt.Errorf("activeDirectoryEndpoint of the environment's file: %w", err)
	}
	return strings.TrimRight(file.ActiveDirectoryEndpoint, "/") + "/", nil
}
