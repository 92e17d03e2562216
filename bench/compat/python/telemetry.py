"""telemetry.py BOOTSTRAP CLIENT SECONDS: a producer that lives for so long, and pushes its metrics."""
import sys
import time

from confluent_kafka import Producer

bootstrap, client, seconds = sys.argv[1:]
producer = Producer({"bootstrap.servers": bootstrap, "client.id": client, "enable.metrics.push": True})
end = time.monotonic() + float(seconds)
while time.monotonic() < end:
    producer.produce("pushed", b"value")
    producer.poll(0.2)
if producer.flush(10):
    sys.exit("records are left")
