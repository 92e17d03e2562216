"""aiokafka as an asyncio application uses it.

usage: aio.py BOOTSTRAP

Every codec with keys, tombstones, headers and timestamps, back byte for byte; then a
consume-transform-produce loop with aborts whose read_committed result must be exact,
by two members of one group.
"""
import asyncio
import random
import sys
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

bootstrap = sys.argv[1]
RECORDS, PARTITIONS = 900, 3


async def roundtrip(codec):
    topic = f"aio-{codec}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    now = int(time.time() * 1000)
    sent = {p: [] for p in range(PARTITIONS)}
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=5,
                                compression_type=None if codec == "none" else codec) as producer:
        futures = []
        for i in range(RECORDS):
            p = i % PARTITIONS
            key, value = b"k%d" % i, None if i % 10 == 0 else b"value %d " % i * (1 + i % 9)
            headers = [("n", b"%d" % i), ("empty", b"")]
            futures.append(await producer.send(topic, value, key, p, now - i, headers))
            sent[p].append((i // PARTITIONS, key, value, now - i, tuple(headers)))
        for i, f in enumerate(futures):
            assert (await f).offset == i // PARTITIONS, "an acknowledged offset is wrong"
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    async with consumer:
        parts = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        got, n = {p: [] for p in range(PARTITIONS)}, 0
        while n < RECORDS:
            polled = await consumer.getmany(timeout_ms=60000)
            assert polled, "nothing came for a minute"
            for part, records in polled.items():
                got[part.partition] += [(r.offset, r.key, r.value, r.timestamp, r.headers) for r in records]
                n += len(records)
        assert await consumer.end_offsets(parts) == {p: RECORDS // PARTITIONS for p in parts}
        found = await consumer.offsets_for_times({parts[0]: now - 600})
        assert found[parts[0]].timestamp >= now - 600, found
    assert got == sent, f"{topic} came back different"
    print(topic, "ok")


async def member(n, done):
    rng = random.Random(n)
    consumer = AIOKafkaConsumer("aio-in", bootstrap_servers=bootstrap, group_id="aio", auto_offset_reset="earliest",
                                enable_auto_commit=False, isolation_level="read_committed", max_poll_records=50)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"aio-{n}")
    async with consumer, producer:
        while len(done) < RECORDS:
            polled = await consumer.getmany(timeout_ms=100)
            if not polled:
                continue
            await producer.begin_transaction()
            values = []
            try:
                for records in polled.values():
                    for r in records:
                        await producer.send("aio-out", r.value)
                        values.append(r.value)
                await producer.send_offsets_to_transaction({p: rs[-1].offset + 1 for p, rs in polled.items()}, "aio")
                if rng.random() < 0.75:
                    await producer.commit_transaction()
                    done.update(values)
                    continue
            except KafkaError as e:
                print("transaction:", e, file=sys.stderr)
            await producer.abort_transaction()
            for p, records in polled.items():
                if p in consumer.assignment():
                    consumer.seek(p, records[0].offset)


async def transactions():
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("aio-in", PARTITIONS, 1), NewTopic("aio-out", 1, 1)])
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for i in range(RECORDS):
            await producer.send("aio-in", b"%d" % i)
    await asyncio.gather(member(0, done := set()), member(1, done))
    consumer = AIOKafkaConsumer("aio-out", bootstrap_servers=bootstrap, auto_offset_reset="earliest",
                                isolation_level="read_committed")
    async with consumer:
        got = []
        while polled := await consumer.getmany(timeout_ms=1000):
            got += [int(r.value) for records in polled.values() for r in records]
    assert sorted(got) == list(range(RECORDS)), f"{len(got)} values, {len(set(got))} different, of {RECORDS}"
    offsets = await admin.list_consumer_group_offsets("aio")
    assert sum(o.offset for o in offsets.values()) == RECORDS, offsets
    await admin.close()
    print("transactions ok")


async def main():
    for codec in "none", "gzip", "snappy", "lz4", "zstd":
        await roundtrip(codec)
    await transactions()


asyncio.run(main())
