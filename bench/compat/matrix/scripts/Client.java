import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * The matrix's Java client, compiled against every kafka-clients from 0.9.0.1 to 4.x: what
 * changed its shape between them is called by reflection. Commands and answers are those of
 * line/line.go.
 */
public final class Client {
    private static final long FIRST_TIME = 1500000000000L;
    private static final String BYTES = "org.apache.kafka.common.serialization.ByteArray";
    private static PrintStream out;
    private static String bootstrap;

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        out = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false);
        System.setOut(System.err); // a logger may write there
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null; out.flush()) {
            String[] f = line.split(" ");
            try {
                if (f[0].equals("produce")) {
                    produce(f[1], f[2], Integer.parseInt(f[3]));
                } else if (f[0].equals("consume")) {
                    consume(f[1], Long.parseLong(f[2]));
                } else {
                    member(f[1], f[2], Long.parseLong(f[3]));
                }
                out.println("end");
            } catch (Throwable e) {
                e.printStackTrace();
                out.println("error\t" + String.valueOf(e).replaceAll("\\s+", " "));
            }
        }
    }

    private static byte[] key(int i) {
        return i % 7 == 3 && i % 11 != 5 ? null : ("key-" + i).getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] value(int i) {
        if (i % 11 == 5) {
            return null;
        }
        StringBuilder b = new StringBuilder("value " + i + " ");
        for (int n = 0; n < i % 40; n++) {
            b.append("abcdefg");
        }
        return b.toString().getBytes(StandardCharsets.UTF_8);
    }

    @SuppressWarnings("unchecked")
    private static ProducerRecord<byte[], byte[]> record(String topic, int i) throws Exception {
        try {
            return (ProducerRecord<byte[], byte[]>) ProducerRecord.class
                .getConstructor(String.class, Integer.class, Long.class, Object.class, Object.class)
                .newInstance(topic, 0, FIRST_TIME + i, key(i), value(i));
        } catch (NoSuchMethodException before0100) {
            return new ProducerRecord<byte[], byte[]>(topic, 0, key(i), value(i));
        }
    }

    private static void produce(String topic, String codec, int n) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("acks", "all");
        p.put("linger.ms", "5");
        p.put("compression.type", codec);
        p.put("key.serializer", BYTES + "Serializer");
        p.put("value.serializer", BYTES + "Serializer");
        KafkaProducer<byte[], byte[]> producer = new KafkaProducer<byte[], byte[]>(p);
        try {
            List<Future<RecordMetadata>> sent = new ArrayList<Future<RecordMetadata>>();
            for (int i = 0; i < n; i++) {
                sent.add(producer.send(record(topic, i)));
            }
            for (Future<RecordMetadata> f : sent) {
                out.println("acked\t" + f.get().offset());
            }
        } finally {
            producer.close();
        }
    }

    private static KafkaConsumer<byte[], byte[]> consumer(String group) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("group.id", group);
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        p.put("key.deserializer", BYTES + "Deserializer");
        p.put("value.deserializer", BYTES + "Deserializer");
        return new KafkaConsumer<byte[], byte[]>(p);
    }

    private static void consume(String topic, long last) throws Exception {
        KafkaConsumer<byte[], byte[]> c = consumer("unused");
        try {
            TopicPartition part = new TopicPartition(topic, 0);
            c.assign(Collections.singletonList(part));
            c.seek(part, 0);
            read(c, last);
        } finally {
            c.close();
        }
    }

    private static void member(String topic, String group, long last) throws Exception {
        KafkaConsumer<byte[], byte[]> c = consumer(group);
        try {
            c.subscribe(Collections.singletonList(topic));
            long at = read(c, last);
            Map<TopicPartition, OffsetAndMetadata> done = new HashMap<TopicPartition, OffsetAndMetadata>();
            done.put(new TopicPartition(topic, 0), new OffsetAndMetadata(at + 1));
            c.commitSync(done);
        } finally {
            c.close();
        }
    }

    private static long read(KafkaConsumer<byte[], byte[]> c, long last) throws Exception {
        long at = -1;
        while (at < last) {
            for (ConsumerRecord<byte[], byte[]> r : poll(c)) {
                out.println("record\t" + r.offset() + "\t" + time(r) + "\t" + hex(r.key()) + "\t" + hex(r.value()));
                at = r.offset();
            }
        }
        return at;
    }

    @SuppressWarnings("unchecked")
    private static ConsumerRecords<byte[], byte[]> poll(KafkaConsumer<byte[], byte[]> c) throws Exception {
        try {
            try {
                Class<?> duration = Class.forName("java.time.Duration");
                Method m = KafkaConsumer.class.getMethod("poll", duration);
                return (ConsumerRecords<byte[], byte[]>) m.invoke(c, java.time.Duration.ofSeconds(1));
            } catch (NoSuchMethodException before20) {
                return (ConsumerRecords<byte[], byte[]>) KafkaConsumer.class.getMethod("poll", long.class).invoke(c, 1000L);
            }
        } catch (java.lang.reflect.InvocationTargetException e) {
            throw (Exception) e.getCause();
        }
    }

    private static long time(ConsumerRecord<byte[], byte[]> r) throws Exception {
        try {
            return (Long) ConsumerRecord.class.getMethod("timestamp").invoke(r);
        } catch (NoSuchMethodException before0100) {
            return -1;
        }
    }

    private static String hex(byte[] b) {
        if (b == null) {
            return "~";
        }
        StringBuilder s = new StringBuilder();
        for (byte x : b) {
            s.append(String.format("%02x", x));
        }
        return s.toString();
    }
}
