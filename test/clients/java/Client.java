import com.azure.core.credential.TokenCredential;
import com.azure.core.exception.HttpResponseException;
import com.azure.core.http.rest.PagedResponse;
import com.azure.core.util.polling.SyncPoller;
import com.azure.identity.AzurePipelinesCredentialBuilder;
import com.azure.identity.ClientAssertionCredentialBuilder;
import com.azure.identity.ClientCertificateCredentialBuilder;
import com.azure.identity.ClientSecretCredentialBuilder;
import com.azure.identity.DefaultAzureCredentialBuilder;
import com.azure.identity.EnvironmentCredentialBuilder;
import com.azure.identity.ManagedIdentityCredentialBuilder;
import com.azure.identity.WorkloadIdentityCredentialBuilder;
import com.azure.security.keyvault.secrets.SecretClient;
import com.azure.security.keyvault.secrets.SecretClientBuilder;
import com.azure.security.keyvault.secrets.models.DeletedSecret;
import com.azure.security.keyvault.secrets.models.KeyVaultSecret;
import com.azure.security.keyvault.secrets.models.SecretProperties;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * The public Azure SDK for Java against Lanyard, as any program uses it.
 * Arguments: CREDENTIAL OPERATION. Exits 0 when every step held.
 */
public final class Client {
    private static final String ODD = "zwei \u00e4\u20ac\ud83d\udd11\n\"\\<&>";
    private static final Duration SOON = Duration.ofMillis(20);

    private final SecretClient vault;
    private final String name = env("SECRET_PREFIX") + "-all";
    private String first;
    private String second;

    private Client(SecretClient vault) {
        this.vault = vault;
    }

    public static void main(String[] args) {
        SecretClient vault = new SecretClientBuilder().vaultUrl(env("KEYVAULT_URL")).credential(credential(args[0])).buildClient();
        Client client = new Client(vault);
        switch (args[1]) {
            case "read" -> client.read();
            case "all" -> client.everything();
            default -> throw new IllegalArgumentException("no operation " + args[1]);
        }
        System.exit(0); // the SDK's threads linger
    }

    private static TokenCredential credential(String kind) {
        String tenant = env("AZURE_TENANT_ID");
        String client = env("AZURE_CLIENT_ID");
        return switch (kind) {
            case "workload" -> new WorkloadIdentityCredentialBuilder().build();
            case "default" -> new DefaultAzureCredentialBuilder().build();
            case "assertion" -> new ClientAssertionCredentialBuilder().tenantId(tenant).clientId(client)
                .clientAssertion(Client::assertion).build();
            case "secret" -> new ClientSecretCredentialBuilder().tenantId(tenant).clientId(client)
                .clientSecret(env("AZURE_CLIENT_SECRET")).build();
            case "certificate" -> new ClientCertificateCredentialBuilder().tenantId(tenant).clientId(client)
                .pemCertificate(env("AZURE_CLIENT_CERTIFICATE_PATH")).build();
            case "chain" -> new ClientCertificateCredentialBuilder().tenantId(tenant).clientId(client)
                .pemCertificate(env("AZURE_CLIENT_CERTIFICATE_PATH")).sendCertificateChain(true).build();
            case "environment" -> new EnvironmentCredentialBuilder().build();
            case "pipelines" -> new AzurePipelinesCredentialBuilder().tenantId(tenant).clientId(client)
                .serviceConnectionId(env("SERVICE_CONNECTION_ID")).systemAccessToken(env("SYSTEM_ACCESSTOKEN")).build();
            case "managed" -> managed();
            default -> throw new IllegalArgumentException("no credential " + kind);
        };
    }

    /** The machine's only identity, or the one that MANAGED_ID names, such as client=ID. */
    private static TokenCredential managed() {
        String[] id = System.getenv().getOrDefault("MANAGED_ID", "").split("=", 2);
        ManagedIdentityCredentialBuilder builder = new ManagedIdentityCredentialBuilder();
        switch (id[0]) {
            case "client" -> builder.clientId(id[1]);
            case "object" -> builder.objectId(id[1]);
            case "resource" -> builder.resourceId(id[1]);
            default -> { }
        }
        return builder.build();
    }

    private static String assertion() {
        try {
            return Files.readString(Path.of(env("AZURE_FEDERATED_TOKEN_FILE")));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void read() {
        check("read", vault.getSecret(env("SECRET_NAME")).getValue(), env("SECRET_VALUE"));
    }

    private void everything() {
        setAndGet();
        update();
        pages();
        byte[] backup = vault.backupSecret(name);
        deleteAndRecover();
        purgeAndRestore(backup);
    }

    private void setAndGet() {
        OffsetDateTime expires = OffsetDateTime.now(ZoneOffset.UTC).truncatedTo(ChronoUnit.SECONDS).plusDays(1);
        SecretProperties properties = new SecretProperties().setContentType("text/plain").setTags(Map.of("a", "b")).setExpiresOn(expires);
        KeyVaultSecret one = vault.setSecret(new KeyVaultSecret(name, "one").setProperties(properties));
        check("set", List.of(one.getValue(), one.getProperties().getTags(), one.getProperties().getExpiresOn()),
            List.of("one", Map.of("a", "b"), expires));
        first = one.getProperties().getVersion();
        second = vault.setSecret(name, ODD).getProperties().getVersion();
        check("get latest", vault.getSecret(name).getValue(), ODD);
        check("get version", vault.getSecret(name, first).getValue(), "one");
        Set<String> versions = vault.listPropertiesOfSecretVersions(name).stream().map(SecretProperties::getVersion).collect(Collectors.toSet());
        check("versions", versions, Set.of(first, second));
    }

    private void update() {
        SecretProperties properties = vault.getSecret(name).getProperties();
        check("update", vault.updateSecretProperties(properties.setEnabled(false)).isEnabled(), false);
        fails("disabled", 403, "Forbidden", () -> vault.getSecret(name));
        vault.updateSecretProperties(properties.setEnabled(true).setTags(Map.of("c", "d")));
        check("tags", vault.getSecret(name).getProperties().getTags(), Map.of("c", "d"));
    }

    private void pages() {
        Set<String> missing = IntStream.range(0, 30).mapToObj(i -> env("SECRET_PREFIX") + "-many-" + i).collect(Collectors.toCollection(HashSet::new));
        missing.forEach(n -> vault.setSecret(n, n));
        int pages = 0;
        for (PagedResponse<SecretProperties> page : vault.listPropertiesOfSecrets().iterableByPage()) {
            page.getValue().forEach(p -> missing.remove(p.getName()));
            pages++;
        }
        check("pages", missing, Set.of());
        check("several pages", pages > 1, true);
    }

    private void deleteAndRecover() {
        SyncPoller<DeletedSecret, Void> deletion = vault.beginDeleteSecret(name).setPollInterval(SOON);
        deletion.waitForCompletion();
        DeletedSecret deleted = vault.getDeletedSecret(name);
        check("deleted", List.of(deleted.getName(), deleted.getRecoveryId() != null), List.of(name, true));
        fails("gone", 404, "SecretNotFound", () -> vault.getSecret(name));
        fails("name taken", 409, "Conflict", () -> vault.setSecret(name, "x"));
        check("list deleted", vault.listDeletedSecrets().stream().anyMatch(d -> d.getName().equals(name)), true);
        vault.beginRecoverDeletedSecret(name).setPollInterval(SOON).waitForCompletion();
        check("recovered", vault.getSecret(name).getProperties().getVersion(), second);
    }

    private void purgeAndRestore(byte[] backup) {
        vault.beginDeleteSecret(name).setPollInterval(SOON).waitForCompletion();
        vault.purgeDeletedSecret(name);
        fails("purged", 404, "SecretNotFound", () -> vault.getDeletedSecret(name));
        check("restored", vault.restoreSecretBackup(backup).getProperties().getVersion(), second);
        check("restored value", vault.getSecret(name, first).getValue(), "one");
    }

    private static String env(String name) {
        return Objects.requireNonNull(System.getenv(name), name);
    }

    private static void check(String what, Object got, Object want) {
        if (!got.equals(want)) {
            throw new AssertionError(what + ": got " + got + ", want " + want);
        }
        System.out.println("ok " + what);
    }

    private static final Pattern CODE = Pattern.compile("\"code\":\"(\\w+)\"");

    private static void fails(String what, int status, String code, Runnable call) {
        try {
            call.run();
        } catch (HttpResponseException e) {
            Matcher found = CODE.matcher(e.getMessage());
            check(what, List.of(e.getResponse().getStatusCode(), found.find() ? found.group(1) : ""), List.of(status, code));
            return;
        }
        throw new AssertionError(what + ": no error");
    }
}
