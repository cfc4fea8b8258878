package sdkenv_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/sdkenv"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// variables is what a state gives, as NAME=VALUE.
func variables(t *testing.T, c sdkenv.Config) []string {
	t.Helper()
	vars, err := sdkenv.Variables(c)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range vars {
		got = append(got, v.Name+"="+v.Value)
		if !slices.Contains(sdkenv.Names(), v.Name) {
			t.Errorf("%s is not among the names that are brought back", v.Name)
		}
	}
	return got
}

func TestVariables(t *testing.T) {
	private := "127.0.0.1,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
	const plain = `ARM_METADATA_HOSTNAME=management.lanyard.example
ARM_TENANT_ID=tenant
ARM_SUBSCRIPTION_ID=subscription`
	admin := &server.Admin{ClientID: "id", ClientSecret: "secret"}
	for name, test := range map[string]struct {
		state server.State
		c     sdkenv.Config
		want  string
	}{
		"of-its-own": {server.State{}, sdkenv.Config{}, "AZURE_AUTHORITY_HOST=https://login.lanyard.example/\nAZURE_TENANT_ID=tenant\n" + plain},
		"adfs":       {server.State{ADFS: true}, sdkenv.Config{}, "AZURE_AUTHORITY_HOST=https://login.lanyard.example/\nAZURE_TENANT_ID=adfs\n" + plain},
		"proxy": {server.State{Proxy: "127.0.0.1:7480"}, sdkenv.Config{},
			"HTTPS_PROXY=http://127.0.0.1:7480\nhttps_proxy=http://127.0.0.1:7480\nNO_PROXY=" + private + "\nno_proxy=" + private +
				"\nAZURE_AUTHORITY_HOST=https://login.lanyard.example/\nAZURE_TENANT_ID=tenant\n" + plain},
		"ca": {server.State{OwnCA: true}, sdkenv.Config{},
			"SSL_CERT_FILE=/d/ca-bundle.pem\nREQUESTS_CA_BUNDLE=/d/ca-bundle.pem\nCURL_CA_BUNDLE=/d/ca-bundle.pem\nNODE_EXTRA_CA_CERTS=/d/ca.pem" +
				"\nAZURE_AUTHORITY_HOST=https://login.lanyard.example/\nAZURE_TENANT_ID=tenant\n" + plain},
		"azure-names": {server.State{AzureNames: true}, sdkenv.Config{},
			"AZURE_EXTENSION_INDEX_URL=https://management.azure.com/extensions/index.json\nAZURE_AUTHORITY_HOST=https://login.microsoftonline.com/" +
				"\nAZURE_TENANT_ID=tenant\nARM_METADATA_HOSTNAME=management.azure.com\nARM_TENANT_ID=tenant\nARM_SUBSCRIPTION_ID=subscription"},
		"admin": {server.State{}, sdkenv.Config{Admin: admin, Browser: true},
			"AZURE_AUTHORITY_HOST=https://login.lanyard.example/\nAZURE_TENANT_ID=tenant\n" + plain +
				"\nAZURE_CLIENT_ID=id\nAZURE_CLIENT_SECRET=secret\nARM_CLIENT_ID=id\nARM_CLIENT_SECRET=secret\nBROWSER=lanyard browser --data-dir /d %s &"},
	} {
		t.Run(name, func(t *testing.T) {
			test.state.Address, test.state.TenantID, test.state.SubscriptionID = "lanyard.example", "tenant", "subscription"
			test.c.Dir, test.c.State = "/d", &test.state
			if diff := cmp.Diff("LANYARD_DATA_DIR=/d\n"+test.want, strings.Join(variables(t, test.c), "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestJava(t *testing.T) {
	dir := server.Dir(t.TempDir() + "/it's a dir")
	state := &server.State{Address: "lanyard.example", Proxy: "127.0.0.1:7480", OwnCA: true}
	c := sdkenv.Config{Dir: dir, State: state, Java: true}
	if _, err := sdkenv.Variables(c); err == nil || !strings.Contains(fault.Hint(err), "start it again") {
		t.Errorf("without a truststore: %v", err)
	}
	if err := os.Mkdir(string(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir.Truststore(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	vars, err := sdkenv.Variables(c)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(vars, func(v shell.Variable) bool { return v.Name == "JDK_JAVA_OPTIONS" })
	if at < 0 {
		t.Fatalf("no options for Java in %v", vars)
	}
	options := vars[at].Value
	for _, want := range []string{
		`"-Djavax.net.ssl.trustStore=` + dir.Truststore() + `" -D`, "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=7480", "172.16.*|172.17.*", "172.31.*",
	} {
		if !strings.Contains(options, want) {
			t.Errorf("no %s in %s", want, options)
		}
	}
}
