"""The matrix's Python clients: client.py LIBRARY BOOTSTRAP VERSION.

LIBRARY is kafka-python (VERSION its api_version, or auto) or confluent-kafka
(VERSION its broker.version.fallback, or auto). Commands and answers are those of
line/line.go. Runs on any Python 3.
"""
import binascii
import sys
import traceback

library, bootstrap, version = sys.argv[1:4]
FIRST_TIME = 1500000000000


def key(i):
    return None if i % 7 == 3 and i % 11 != 5 else b"key-%d" % i


def value(i):
    return None if i % 11 == 5 else b"value %d %s" % (i, b"abcdefg" * (i % 40))


def say(*fields):
    sys.stdout.write("\t".join(map(str, fields)) + "\n")


def saw(offset, time, k, v):
    say("record", offset, time, *("~" if b is None else binascii.hexlify(b).decode() for b in (k, v)))


class KafkaPython:
    def __init__(self):
        self.api = None if version == "auto" else tuple(map(int, version.split(".")))
        self.common = {"bootstrap_servers": bootstrap, "api_version": self.api}

    def produce(self, topic, codec, n):
        from kafka import KafkaProducer
        times = self.api is None or self.api >= (0, 10)
        producer = KafkaProducer(acks="all", linger_ms=5, retries=0, compression_type=None if codec == "none" else codec, **self.common)
        sent = [producer.send(topic, key=key(i), value=value(i), partition=0, **({"timestamp_ms": FIRST_TIME + i} if times else {}))
                for i in range(n)]
        producer.flush()
        for future in sent:
            say("acked", future.get(10).offset)
        producer.close()

    def read(self, consumer, last):
        at = -1
        while at < last:
            for records in consumer.poll(timeout_ms=1000).values():
                for r in records:
                    saw(r.offset, -1 if r.timestamp is None else r.timestamp, r.key, r.value)
                    at = r.offset

    def consume(self, topic, last):
        from kafka import KafkaConsumer, TopicPartition
        consumer = KafkaConsumer(group_id=None, auto_offset_reset="earliest", **self.common)
        consumer.assign([TopicPartition(topic, 0)])
        self.read(consumer, last)
        consumer.close()

    def member(self, topic, group, last):
        from kafka import KafkaConsumer
        consumer = KafkaConsumer(topic, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False, **self.common)
        self.read(consumer, last)
        consumer.commit()
        consumer.close()


class Confluent:
    def __init__(self):
        self.common = {"bootstrap.servers": bootstrap}
        if version != "auto":
            self.common.update({"api.version.request": False, "broker.version.fallback": version})

    def produce(self, topic, codec, n):
        from confluent_kafka import Producer
        old = version.startswith("0.9")
        acked = []
        conf = {"acks": "all", "compression.type": codec, "linger.ms": 5, "retries": 0}
        if version == "auto":
            conf.update({"enable.idempotence": True, "retries": 5})
        producer = Producer(dict(self.common, **conf))
        for i in range(n):
            extra = {} if old else {"timestamp": FIRST_TIME + i}
            producer.produce(topic, key=key(i), value=value(i), partition=0,
                             on_delivery=lambda err, m: acked.append((err, m.offset())), **extra)
        if producer.flush(30) != 0:
            raise RuntimeError("not every message was acknowledged within 30 s")
        for err, offset in acked:
            if err is not None:
                raise RuntimeError(err.str())
            say("acked", offset)

    def read(self, consumer, last):
        at = -1
        while at < last:
            for m in consumer.consume(500, 1):
                if m.error() is not None:
                    raise RuntimeError(m.error().str())
                kind, time = m.timestamp()
                saw(m.offset(), -1 if kind == 0 else time, m.key(), m.value())
                at = m.offset()

    def consume(self, topic, last):
        from confluent_kafka import Consumer, TopicPartition
        consumer = Consumer(dict(self.common, **{"group.id": "unused", "enable.auto.commit": False, "check.crcs": True}))
        consumer.assign([TopicPartition(topic, 0, 0)])
        self.read(consumer, last)
        consumer.close()

    def member(self, topic, group, last):
        from confluent_kafka import Consumer
        consumer = Consumer(dict(self.common, **{"group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}))
        consumer.subscribe([topic])
        self.read(consumer, last)
        consumer.commit(asynchronous=False)
        consumer.close()


client = {"kafka-python": KafkaPython, "confluent-kafka": Confluent}[library]()
while True:
    fields = sys.stdin.readline().split()
    if not fields:
        break
    try:
        if fields[0] == "produce":
            client.produce(fields[1], fields[2], int(fields[3]))
        elif fields[0] == "consume":
            client.consume(fields[1], int(fields[2]))
        else:
            client.member(fields[1], fields[2], int(fields[3]))
        say("end")
    except Exception as e:
        traceback.print_exc()
        say("error", " ".join((type(e).__name__ + ": " + str(e)).split()))
    sys.stdout.flush()
