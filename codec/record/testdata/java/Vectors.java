import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.*;

/**
 * Wrote the .bin files beside it with Kafka 4.2's own classes, and reads what
 * others wrote:
 *
 *   java -cp 'kafka/libs/*' Vectors.java write DIR
 *   java -cp 'kafka/libs/*' Vectors.java read FILE...
 */
public class Vectors {
    static byte[] b(String s) { return s == null ? null : s.getBytes(StandardCharsets.UTF_8); }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("read")) {
            for (String f : Arrays.asList(args).subList(1, args.length)) read(Path.of(f));
            return;
        }
        Path dir = Path.of(args[1]);
        for (byte magic = 0; magic <= 2; magic++) {
            for (CompressionType type : CompressionType.values()) {
                if (magic < 2 && type == CompressionType.ZSTD) continue;
                for (TimestampType time : List.of(TimestampType.CREATE_TIME, TimestampType.LOG_APPEND_TIME)) {
                    if (magic == 0 && time == TimestampType.LOG_APPEND_TIME) continue;
                    String name = "v" + magic + "-" + type.name + (time == TimestampType.LOG_APPEND_TIME ? "-append" : "") + ".bin";
                    small(dir.resolve(name), magic, type, time);
                }
                large(dir.resolve("v" + magic + "-" + type.name + "-large.bin"), magic, type);
            }
        }
        ByteBuffer buf = ByteBuffer.allocate(1 << 10);
        MemoryRecords.writeEndTransactionalMarker(buf, 40L, 5000L, 3, 77L, (short) 6, new EndTransactionMarker(ControlRecordType.COMMIT, 12));
        save(dir.resolve("commit.bin"), buf);
        buf = ByteBuffer.allocate(1 << 10);
        MemoryRecords.writeEndTransactionalMarker(buf, 40L, 5000L, 3, 77L, (short) 6, new EndTransactionMarker(ControlRecordType.ABORT, 13));
        save(dir.resolve("abort.bin"), buf);
    }

    static void small(Path file, byte magic, CompressionType type, TimestampType time) throws Exception {
        ByteBuffer buf = ByteBuffer.allocate(1 << 16);
        MemoryRecordsBuilder m = MemoryRecords.builder(buf, magic, Compression.of(type).build(), time, 40L,
            time == TimestampType.LOG_APPEND_TIME ? 7777L : RecordBatch.NO_TIMESTAMP);
        Header[] headers = magic < 2 ? new Header[0] : new Header[] {new RecordHeader("h1", b("x")), new RecordHeader("h2", null)};
        m.append(1000L, b("key-0"), b("value-0"), headers);
        m.append(1005L, null, b("value-1"));
        m.append(1003L, b("key-2"), null);
        m.close();
        save(file, m.buffer());
    }

    static void large(Path file, byte magic, CompressionType type) throws Exception {
        if (type == CompressionType.NONE) return;
        ByteBuffer buf = ByteBuffer.allocate(1 << 20);
        MemoryRecordsBuilder m = MemoryRecords.builder(buf, magic, Compression.of(type).build(), TimestampType.CREATE_TIME, 0L);
        for (int i = 0; i < 200; i++) m.append(1000L + i, b("k" + i), b(("line " + i + " of a text that repeats itself; ").repeat(30)));
        m.close();
        save(file, m.buffer());
    }

    static void save(Path file, ByteBuffer buf) throws Exception {
        buf.flip();
        byte[] out = new byte[buf.remaining()];
        buf.get(out);
        Files.write(file, out);
    }

    static void read(Path file) throws Exception {
        MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(file)));
        for (RecordBatch batch : records.batches()) {
            batch.ensureValid();
            System.out.println(file.getFileName() + " magic " + batch.magic() + " " + batch.compressionType().name + " last " + batch.lastOffset());
            for (org.apache.kafka.common.record.Record r : batch) {
                r.ensureValid();
                String value = r.hasValue() ? StandardCharsets.UTF_8.decode(r.value()).toString() : "null";
                System.out.println("  " + r.offset() + " " + r.timestamp() + " " + (r.hasKey() ? StandardCharsets.UTF_8.decode(r.key()) : "null")
                    + " " + (value.length() > 40 ? value.length() + " bytes" : value) + " " + Arrays.toString(r.headers()));
            }
        }
    }
}
