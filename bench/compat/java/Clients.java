import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The plain Java client as an application uses it: every codec with keys, tombstones,
 * headers and timestamps, and a consume-transform-produce loop of two members with
 * aborts, once by each group protocol.
 */
public class Clients {
    static String bootstrap;
    static Admin admin;

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) roundtrip(codec);
        transform("classic", Map.of("group.protocol", "classic", "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"));
        transform("consumer", Map.of("group.protocol", "consumer"));
        admin.close();
    }

    static void check(boolean ok, String what) { if (!ok) throw new IllegalStateException(what); }

    static Map<String, Object> with(Map<String, String> more, String... pairs) {
        Map<String, Object> config = new HashMap<>(more);
        config.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2) config.put(pairs[i], pairs[i + 1]);
        return config;
    }

    static KafkaProducer<String, String> producer(String... pairs) {
        return new KafkaProducer<>(with(Map.of(), pairs), new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(Map<String, String> more, String... pairs) {
        return new KafkaConsumer<>(with(more, pairs), new StringDeserializer(), new StringDeserializer());
    }

    static String describe(String key, String value, long timestamp, Iterable<org.apache.kafka.common.header.Header> headers) {
        StringBuilder b = new StringBuilder().append(key).append('=').append(value).append('@').append(timestamp);
        for (var h : headers) b.append(' ').append(h.key()).append(':').append(h.value() == null ? "null" : new String(h.value(), StandardCharsets.UTF_8));
        return b.toString();
    }

    static void roundtrip(String codec) throws Exception {
        String topic = "java-" + codec;
        int records = 900, partitions = 3;
        admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(Map.of("cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0.99")))).all().get();
        Map<Integer, List<String>> sent = new TreeMap<>(), got = new TreeMap<>();
        List<Future<RecordMetadata>> acks = new ArrayList<>();
        long now = System.currentTimeMillis();
        try (var p = producer("compression.type", codec, "linger.ms", "5")) {
            for (int i = 0; i < records; i++) {
                var headers = new RecordHeaders().add("n", Integer.toString(i).getBytes()).add("none", null);
                var r = new ProducerRecord<>(topic, i % partitions, now - i, "k" + i, i % 10 == 0 ? null : ("value " + i + " ").repeat(1 + i % 9), headers);
                sent.computeIfAbsent(i % partitions, k -> new ArrayList<>()).add(describe(r.key(), r.value(), r.timestamp(), r.headers()));
                acks.add(p.send(r));
            }
            p.flush();
            for (int i = 0; i < records; i++) check(acks.get(i).get().offset() == i / partitions, "record " + i + " was given offset " + acks.get(i).get().offset());
        }
        try (var c = consumer(Map.of(), "auto.offset.reset", "earliest")) {
            List<TopicPartition> all = new ArrayList<>();
            for (int i = 0; i < partitions; i++) all.add(new TopicPartition(topic, i));
            c.assign(all);
            c.seekToBeginning(all);
            int n = 0;
            while (n < records) {
                var polled = c.poll(Duration.ofSeconds(60));
                check(!polled.isEmpty(), "nothing came for a minute");
                for (ConsumerRecord<String, String> r : polled) {
                    got.computeIfAbsent(r.partition(), k -> new ArrayList<>()).add(describe(r.key(), r.value(), r.timestamp(), r.headers()));
                    n++;
                }
            }
            check(c.endOffsets(all).values().stream().allMatch(e -> e == records / partitions), "end offsets");
            var found = c.offsetsForTimes(Map.of(all.get(0), now - 600)).get(all.get(0));
            check(found != null && found.timestamp() >= now - 600, "offsetsForTimes gave " + found);
        }
        check(sent.equals(got), topic + " came back different");
        System.out.println(topic + " ok");
    }

    static void transform(String name, Map<String, String> protocol) throws Exception {
        String in = name + "-in", out = name + "-out", group = name + "-group";
        int records = 3000;
        admin.createTopics(List.of(new NewTopic(in, 4, (short) 1), new NewTopic(out, 2, (short) 1))).all().get();
        try (var p = producer()) {
            for (int i = 0; i < records; i++) p.send(new ProducerRecord<>(in, Integer.toString(i), Integer.toString(i)));
        }
        AtomicInteger done = new AtomicInteger();
        var pool = Executors.newFixedThreadPool(2);
        List<Future<Void>> members = new ArrayList<>();
        for (int m = 0; m < 2; m++) {
            int seed = m;
            members.add(pool.submit((Callable<Void>) () -> { member(name + seed, protocol, group, in, out, records, done, new Random(seed)); return null; }));
        }
        for (var m : members) m.get();
        pool.shutdown();
        int[] seen = new int[records];
        int n = 0;
        try (var c = consumer(protocol, "group.id", group + "-check", "auto.offset.reset", "earliest", "isolation.level", "read_committed")) {
            c.subscribe(List.of(out));
            for (long until = System.nanoTime() + 120_000_000_000L; n < records && System.nanoTime() < until;) {
                for (var r : c.poll(Duration.ofMillis(200))) {
                    seen[Integer.parseInt(r.value())]++;
                    n++;
                }
            }
            for (var r : c.poll(Duration.ofMillis(500))) seen[Integer.parseInt(r.value())]++;
        }
        for (int i = 0; i < records; i++) check(seen[i] == 1, name + ": value " + i + " came " + seen[i] + " times");
        long committed = 0;
        for (OffsetAndMetadata o : admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().values()) committed += o.offset();
        check(committed == records, name + ": " + committed + " records are committed");
        System.out.println(name + " ok");
    }

    static void member(String id, Map<String, String> protocol, String group, String in, String out, int records, AtomicInteger done, Random random) {
        try (var p = producer("transactional.id", id); var c = consumer(protocol, "group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", "false", "isolation.level", "read_committed", "max.poll.records", "50")) {
            p.initTransactions();
            c.subscribe(List.of(in));
            while (done.get() < records) {
                var polled = c.poll(Duration.ofMillis(100));
                if (polled.isEmpty()) continue;
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>(), back = new HashMap<>();
                p.beginTransaction();
                for (var r : polled) {
                    p.send(new ProducerRecord<>(out, r.key(), r.value()));
                    var at = new TopicPartition(r.topic(), r.partition());
                    offsets.put(at, new OffsetAndMetadata(r.offset() + 1));
                    back.putIfAbsent(at, new OffsetAndMetadata(r.offset()));
                }
                boolean abort = random.nextInt(4) == 0;
                try {
                    p.sendOffsetsToTransaction(offsets, c.groupMetadata());
                    if (!abort) {
                        p.commitTransaction();
                        done.addAndGet(polled.count());
                        continue;
                    }
                } catch (KafkaException e) {
                    System.err.println(id + ": " + e); // the group rebalanced meanwhile: another member has the partitions now
                }
                p.abortTransaction();
                back.forEach((at, o) -> { if (c.assignment().contains(at)) c.seek(at, o); });
            }
        }
    }
}
