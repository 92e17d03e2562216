import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.SaslAuthenticationException;
import org.apache.kafka.common.errors.SslAuthenticationException;
import org.apache.kafka.common.errors.TopicAuthorizationException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Logs in by every mechanism over every protocol, and is refused where it must be. */
public class Security {
    static Map<String, String> ports;
    static String tls;
    static final String TOPIC = "security-" + System.nanoTime();

    /** A client's settings; secret is a password, or the name of a bearer token's file. */
    static Properties client(String protocol, String mechanism, String user, String secret, String authority, boolean cert) {
        Properties p = new Properties();
        p.put("bootstrap.servers", "127.0.0.1:" + ports.get(protocol));
        p.put("security.protocol", protocol);
        p.put("key.serializer", StringSerializer.class.getName());
        p.put("value.serializer", StringSerializer.class.getName());
        p.put("key.deserializer", StringDeserializer.class.getName());
        p.put("value.deserializer", StringDeserializer.class.getName());
        p.put("max.block.ms", "10000");
        p.put("enable.idempotence", "false");
        if (protocol.endsWith("SSL")) {
            p.put("ssl.truststore.type", "PEM");
            p.put("ssl.truststore.location", tls + "/" + authority + ".pem");
        }
        if (cert) {
            p.put("ssl.keystore.type", "PEM");
            p.put("ssl.keystore.location", tls + "/carol.pem");
        }
        if (mechanism == null) {
            return p;
        }
        p.put("sasl.mechanism", mechanism);
        if (mechanism.equals("OAUTHBEARER")) {
            p.put("sasl.jaas.config", "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;");
            p.put("sasl.login.callback.handler.class", "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler");
            p.put("sasl.oauthbearer.jwt.retriever.class", "org.apache.kafka.common.security.oauthbearer.FileJwtRetriever");
            p.put("sasl.oauthbearer.token.endpoint.url", "file://" + tls + "/" + secret + ".jwt");
            return p;
        }
        String module = mechanism.equals("PLAIN") ? "plain.PlainLoginModule" : "scram.ScramLoginModule";
        p.put("sasl.jaas.config", "org.apache.kafka.common.security." + module + " required username=\"" + user + "\" password=\"" + secret + "\";");
        return p;
    }

    static void write(Properties p) throws Throwable {
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(p)) {
            producer.send(new ProducerRecord<>(TOPIC, 0, null, "value")).get();
        } catch (ExecutionException e) {
            throw e.getCause();
        }
    }

    /** Writes, and reads the first record; the log must end where the count of writes says. */
    static void in(Properties p, long written) throws Throwable {
        write(p);
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(p)) {
            TopicPartition partition = new TopicPartition(TOPIC, 0);
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            if (consumer.poll(Duration.ofSeconds(60)).isEmpty()) {
                throw new AssertionError("nothing to read");
            }
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            if (end != written) {
                throw new AssertionError("the log ends at " + end + ", " + written + " records were let in");
            }
        }
    }

    static void refused(String what, Class<? extends Throwable> wanted, Properties p) {
        try {
            write(p);
        } catch (Throwable e) {
            if (!wanted.isInstance(e)) {
                throw new AssertionError(what + ": the error does not say why", e);
            }
            return;
        }
        throw new AssertionError(what + ": was let in");
    }

    public static void main(String[] args) throws Throwable {
        ports = Map.of("SASL_PLAINTEXT", args[0], "SASL_SSL", args[1], "SSL", args[2]);
        tls = args[3];
        Properties carol = client("SSL", null, null, null, "ca", true);
        try (Admin admin = Admin.create(carol)) {
            admin.createTopics(List.of(new NewTopic(TOPIC, 1, (short) 1))).all().get();
        }
        long written = 0;
        in(carol, ++written);
        for (String protocol : List.of("SASL_PLAINTEXT", "SASL_SSL")) {
            for (String mechanism : List.of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")) {
                in(client(protocol, mechanism, "admin", "admin-secret", "ca", false), ++written);
                refused(protocol + " " + mechanism + " with a wrong password", SaslAuthenticationException.class, client(protocol, mechanism, "admin", "wrong", "ca", false));
            }
            in(client(protocol, "OAUTHBEARER", null, "good", "ca", false), ++written);
            refused(protocol + " with a token whose time is over", SaslAuthenticationException.class, client(protocol, "OAUTHBEARER", null, "expired", "ca", false));
            refused("a user without ACLs", TopicAuthorizationException.class, client(protocol, "PLAIN", "bob", "bob-secret", "ca", false));
        }
        refused("TLS without a certificate", SslAuthenticationException.class, client("SSL", null, null, null, "ca", false));
        refused("a broker of an unknown authority", SslAuthenticationException.class, client("SASL_SSL", "PLAIN", "admin", "admin-secret", "stranger", false));
        in(carol, ++written);
        System.out.println("all " + written + " ways in, and the refusals");
    }
}
