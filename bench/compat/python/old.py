"""kafka-python of a given API version: every codec that it has, and a group.

usage: old.py BOOTSTRAP VERSION…, a version being 0.9, 0.10 and so on. What comes
back must be the same bytes in the same order at consecutive offsets; what the
group committed must be there for its next member.
"""
import hashlib
import sys
import uuid

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

bootstrap, versions = sys.argv[1], sys.argv[2:]
N = 2000


def body(i):
    return hashlib.sha256(str(i).encode()).hexdigest().encode() * (1 + i % 7)


for text in versions:
    version = tuple(map(int, text.split(".")))
    for codec in [None, "gzip", "snappy", "lz4"]:
        topic = f"old-{text}-{codec}-{uuid.uuid4().hex[:8]}"
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5, api_version=version, compression_type=codec)
        producer.partitions_for(topic)
        sent = [producer.send(topic, key=b"k%d" % i, value=body(i), partition=0) for i in range(N)]
        producer.flush()
        for i, future in enumerate(sent):
            assert future.get(60).offset == i, "an acknowledged offset is wrong"
        producer.close()
        consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id="g-" + topic, api_version=version,
                                 auto_offset_reset="earliest", enable_auto_commit=False)
        got = []
        while len(got) < N:
            batch = consumer.poll(timeout_ms=60000)
            assert batch, "nothing came for a minute"
            for records in batch.values():
                got += [(r.offset, r.key, r.value) for r in records]
        assert got == [(i, b"k%d" % i, body(i)) for i in range(N)], topic + " came back different"
        consumer.commit()
        consumer.close()
        consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id="g-" + topic, api_version=version)
        part = TopicPartition(topic, 0)
        consumer.assign([part])
        assert consumer.committed(part) == N, "the committed offset is gone"
        assert consumer.end_offsets([part]) == {part: N} if version >= (0, 10, 1) else True
        consumer.close()
        print(kafka.__version__, topic, "ok")
