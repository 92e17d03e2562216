"""One member of a consumer group, in one of several clients.

usage: group.py CLIENT BOOTSTRAP GROUP TOPIC OUT [SECONDS]

Appends "partition offset value" lines to OUT for every record, commits as it
goes, and leaves the group when SECONDS have passed or on SIGTERM. A TOPIC that
begins with ^ is a pattern; metadata is then looked at every second.
"""
import signal
import sys
import time

client, bootstrap, group, topic, out = sys.argv[1:6]
deadline = time.monotonic() + float(sys.argv[6] if len(sys.argv) > 6 else 3600)
running = True


def stop(*_):
    global running
    running = False


signal.signal(signal.SIGTERM, stop)
sink = open(out, "a", buffering=1)


def going():
    return running and time.monotonic() < deadline


if client == "kafka-python":
    from kafka import KafkaConsumer
    from kafka.errors import KafkaError

    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest",
                             enable_auto_commit=False, session_timeout_ms=10000, max_poll_interval_ms=20000,
                             **({"metadata_max_age_ms": 1000} if topic.startswith("^") else {}))
    consumer.subscribe(**({"pattern": topic} if topic.startswith("^") else {"topics": [topic]}))
    while going():
        batch = consumer.poll(timeout_ms=200)
        for part, records in batch.items():
            for r in records:
                sink.write(f"{part.partition} {r.offset} {r.value.decode()}\n")
        if batch:
            try:
                consumer.commit()
            except KafkaError as e:
                # The group rebalanced meanwhile or the broker restarts: the records will come again.
                print("commit:", e, file=sys.stderr)
    consumer.close()
else:
    from confluent_kafka import Consumer, KafkaException

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False,
                         **({"topic.metadata.refresh.interval.ms": 1000} if topic.startswith("^") else {}),
                         **({"group.protocol": "consumer"} if client == "confluent-848" else
                            {"session.timeout.ms": 10000,
                             "partition.assignment.strategy": "cooperative-sticky" if client == "confluent-cooperative" else "range"})})
    consumer.subscribe([topic])
    while going():
        messages = consumer.consume(500, 0.2)
        for m in messages:
            if m.error() is not None:
                assert m.error().retriable() or m.error().name() in ("_ALL_BROKERS_DOWN", "_TRANSPORT"), m.error()
                continue
            sink.write(f"{m.partition()} {m.offset()} {m.value().decode()}\n")
        if messages:
            try:
                consumer.commit(asynchronous=False)
            except KafkaException as e:
                assert not e.args[0].fatal(), e
                print("commit:", e, file=sys.stderr)
    consumer.close()
