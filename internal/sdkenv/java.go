package sdkenv

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/server"
)

// javaOptions says in Java's own properties what the other variables say to
// everybody else. JDK_JAVA_OPTIONS is read by the launcher alone, and rarely set by
// others; JAVA_TOOL_OPTIONS, which every Java machine reads, often is.
// https://docs.oracle.com/en/java/javase/17/docs/specs/man/java.html
func javaOptions(dir server.Dir, state *server.State) (string, error) {
	var options []string
	add := func(name, value string) { options = append(options, javaQuote("-D"+name+"="+value)) }
	if state.OwnCA {
		if _, err := os.Stat(dir.Truststore()); errors.Is(err, fs.ErrNotExist) {
			return "", fault.WithHint(fmt.Errorf("no file %s", dir.Truststore()), "an older program started the server: start it again")
		}
		add("javax.net.ssl.trustStore", dir.Truststore())
	}
	if state.Proxy != "" {
		host, port, err := net.SplitHostPort(state.Proxy)
		if err != nil {
			return "", fmt.Errorf("reading the proxy's address: %w", err)
		}
		add("https.proxyHost", host)
		add("https.proxyPort", port)
		add("http.nonProxyHosts", javaPrivateHosts())
	}
	return strings.Join(options, " "), nil
}

// javaPrivateHosts is privateRanges in a language that has no ranges.
func javaPrivateHosts() string {
	hosts := []string{"127.*", "[::1]", "10.*", "192.168.*"}
	for i := 16; i < 32; i++ {
		hosts = append(hosts, "172."+strconv.Itoa(i)+".*")
	}
	return strings.Join(hosts, "|")
}

// javaQuote makes one argument of s for JDK_JAVA_OPTIONS, where a backslash is
// no escape and words end at white space.
func javaQuote(s string) string {
	if !strings.ContainsAny(s, " \t\n\v\f\r\"'") {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `"'"'"`) + `"`
}
