"""Produces with every codec and consumes back by assigned partitions.

usage: roundtrip.py CLIENT BOOTSTRAP, where CLIENT is kafka-python or confluent.
Each record carries key, value and headers; what comes back must be the same
bytes in the same order at consecutive offsets.
"""
import hashlib
import sys
import uuid

client, bootstrap = sys.argv[1:3]
N, PARTITIONS = 2000, 3
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def record(codec, p, i):
    body = hashlib.sha256(f"{codec}{p}{i}".encode()).hexdigest().encode() * (1 + i % 7)
    return f"k{i}".encode(), body, [("n", str(i).encode()), ("empty", b"")]


def kafka_python(topic, codec):
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.admin import KafkaAdminClient, NewTopic

    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5,
                             compression_type=None if codec == "none" else codec)
    sent = [producer.send(topic, key=k, value=v, headers=h, partition=p)
            for i in range(N) for p in range(PARTITIONS) for k, v, h in [record(codec, p, i)]]
    producer.flush()
    for n, future in enumerate(sent):
        assert future.get(60).offset == n // PARTITIONS, "an acknowledged offset is wrong"
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest")
    parts = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(parts)
    assert consumer.end_offsets(parts) == {p: N for p in parts}
    got = {p: [] for p in range(PARTITIONS)}
    while sum(map(len, got.values())) < N * PARTITIONS:
        batch = consumer.poll(timeout_ms=60000)
        assert batch, "nothing came for a minute"
        for part, records in batch.items():
            for r in records:
                got[part.partition].append((r.offset, r.key, r.value, [tuple(h) for h in r.headers]))
    consumer.close()
    return got


def confluent(topic, codec):
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(topic, PARTITIONS, 1)]).values():
        future.result(60)
    acked = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True,
                         "compression.type": codec, "linger.ms": 5, "queue.buffering.max.messages": 1000000})
    for i in range(N):
        for p in range(PARTITIONS):
            k, v, h = record(codec, p, i)
            producer.produce(topic, key=k, value=v, headers=h, partition=p,
                             on_delivery=lambda err, m: acked.append((err, m.partition(), m.offset())))
            producer.poll(0)
    assert producer.flush(60) == 0
    assert all(a[0] is None for a in acked), acked[:3]
    assert sorted((p, o) for _, p, o in acked) == [(p, o) for p in range(PARTITIONS) for o in range(N)]
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused-" + topic, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=60) == (0, N)
    got = {p: [] for p in range(PARTITIONS)}
    while sum(map(len, got.values())) < N * PARTITIONS:
        messages = consumer.consume(500, 10)
        assert messages, "nothing came for a minute"
        for m in messages:
            assert m.error() is None, m.error()
            got[m.partition()].append((m.offset(), m.key(), m.value(), m.headers()))
    consumer.close()
    return got


for codec in CODECS:
    topic = f"{client}-{codec}-{uuid.uuid4().hex[:8]}"
    got = {"kafka-python": kafka_python, "confluent": confluent}[client](topic, codec)
    for p in range(PARTITIONS):
        want = [(i, *record(codec, p, i)) for i in range(N)]
        assert got[p] == want, f"{topic}-{p} came back different"
    print(topic, "ok")
