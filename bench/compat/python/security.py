"""Logs in by every mechanism over every protocol, and is refused where it must be.

usage: security.py CLIENT SASL_PLAINTEXT_PORT SASL_SSL_PORT MTLS_PORT TLS_DIR
"""
import logging
import sys
import time
import uuid

client, plain_port, ssl_port, mtls_port, tls = sys.argv[1:6]
PORTS = {"SASL_PLAINTEXT": plain_port, "SASL_SSL": ssl_port, "SSL": mtls_port}
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


def jwt(name):
    with open(f"{tls}/{name}.jwt") as f:
        return f.read()


def provider(token):
    from kafka.net.sasl.oauth import AbstractTokenProvider

    class Provider(AbstractTokenProvider):
        def token(self):
            return token

    return Provider()


class KafkaPython:
    def __init__(self, protocol, mechanism=None, user=None, password=None, cert=True, ca="ca"):
        self.conf = dict(bootstrap_servers="127.0.0.1:" + PORTS[protocol], security_protocol=protocol,
                         bootstrap_timeout_ms=3000)
        if mechanism == "OAUTHBEARER":
            self.conf.update(sasl_mechanism=mechanism, sasl_oauth_token_provider=provider(jwt(password)))
        elif mechanism:
            self.conf.update(sasl_mechanism=mechanism, sasl_plain_username=user, sasl_plain_password=password)
        if "SSL" in protocol and not protocol.endswith("PLAINTEXT"):
            self.conf.update(ssl_cafile=f"{tls}/{ca}.pem", ssl_check_hostname=True)
        if protocol == "SSL" and cert:
            self.conf.update(ssl_certfile=tls + "/carol.crt", ssl_keyfile=tls + "/carol.key")

    def create(self, topic):
        from kafka.admin import KafkaAdminClient, NewTopic
        admin = KafkaAdminClient(**self.conf)
        try:
            admin.create_topics([NewTopic(topic, 1, 1)])
        finally:
            admin.close()

    def produce(self, topic, value):
        from kafka import KafkaProducer
        producer = KafkaProducer(max_block_ms=10000, **self.conf)
        try:
            producer.send(topic, value).get(10)
        finally:
            producer.close()

    def consume(self, topic):
        from kafka import KafkaConsumer, TopicPartition
        consumer = KafkaConsumer(group_id=None, auto_offset_reset="earliest", consumer_timeout_ms=10000, **self.conf)
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        try:
            return next(consumer).value, consumer.end_offsets([partition])[partition]
        finally:
            consumer.close()


class Confluent:
    def __init__(self, protocol, mechanism=None, user=None, password=None, cert=True, ca="ca"):
        self.errors = []
        self.conf = {"bootstrap.servers": "127.0.0.1:" + PORTS[protocol], "security.protocol": protocol,
                     "error_cb": self.errors.append}
        if mechanism == "OAUTHBEARER":
            # The client itself refuses to send a token whose time it knows to be over.
            self.conf.update({"sasl.mechanisms": mechanism, "oauth_cb": lambda _: (jwt(password), time.time() + 600)})
        elif mechanism:
            self.conf.update({"sasl.mechanisms": mechanism, "sasl.username": user, "sasl.password": password})
        if protocol in ("SSL", "SASL_SSL"):
            self.conf["ssl.ca.location"] = f"{tls}/{ca}.pem"
        if protocol == "SSL" and cert:
            self.conf.update({"ssl.certificate.location": tls + "/carol.crt", "ssl.key.location": tls + "/carol.key"})

    def create(self, topic):
        from confluent_kafka.admin import AdminClient, NewTopic
        admin = AdminClient(self.conf)  # its futures end with it
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)

    def produce(self, topic, value):
        from confluent_kafka import Producer
        failed = []
        producer = Producer({**self.conf, "message.timeout.ms": 8000})
        producer.produce(topic, value, on_delivery=lambda err, _: failed.append(err))
        # A producer that cannot get in says so once and tries on until its time is over.
        deadline = time.time() + 10
        while not failed and not (self.errors and time.time() > deadline - 9) and time.time() < deadline:
            producer.poll(0.05)
        producer.purge()
        wanted = [e for e in failed if e is not None]
        if wanted or not failed:
            raise RuntimeError(f"{wanted} {self.errors}")

    def consume(self, topic):
        from confluent_kafka import Consumer, TopicPartition
        consumer = Consumer({**self.conf, "group.id": "none", "auto.offset.reset": "earliest", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = consumer.poll(10)
        end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[1]
        consumer.close()
        if message is None or message.error():
            raise RuntimeError(f"{message and message.error()} {self.errors}")
        return message.value(), end


Client = {"kafka-python": KafkaPython, "confluent": Confluent}[client]


class Lines(logging.Handler):
    """What a client logs; kafka-python tells there why it could not bootstrap."""

    def __init__(self):
        super().__init__()
        self.text = ""

    def emit(self, record):
        self.text += record.getMessage() + "\n"


lines = Lines()
logging.getLogger().addHandler(lines)


def refused(what, words, run):
    lines.text = ""
    try:
        run()
    except Exception as e:  # each client has its own
        text = f"{type(e).__name__} {e}\n{lines.text}"
        assert any(w.lower() in text.lower() for w in words), f"{what}: the error does not say why: {text}"
        return
    raise AssertionError(f"{what}: was let in")


topic = "security-" + uuid.uuid4().hex
Client("SASL_PLAINTEXT", "SCRAM-SHA-512", "admin", "admin-secret").create(topic)
ways = [("SSL", None, None, None)]
for protocol in ("SASL_PLAINTEXT", "SASL_SSL"):
    ways += [(protocol, m, "admin", "admin-secret") for m in MECHANISMS] + [(protocol, "OAUTHBEARER", "oscar", "good")]
for written, way in enumerate(ways, 1):
    Client(*way).produce(topic, b"value")
    assert Client(*way).consume(topic) == (b"value", written), way
    print("ok", way[:2])
for protocol in ("SASL_PLAINTEXT", "SASL_SSL"):
    for mechanism in MECHANISMS:
        refused(f"{protocol} {mechanism} with a wrong password", ["authentication"],
                lambda: Client(protocol, mechanism, "admin", "wrong").produce(topic, b"no"))
    refused(f"{protocol} with a token whose time is over", ["authentication", "invalid_token"],
            lambda: Client(protocol, "OAUTHBEARER", "oscar", "expired").produce(topic, b"no"))
    refused("a user without ACLs", ["authoriz"],
            lambda: Client(protocol, "PLAIN", "bob", "bob-secret").produce(topic, b"no"))
refused("TLS without a certificate", ["ssl", "certificate", "NoBrokers", "timeout", "timed out", "transport"],
        lambda: Client("SSL", cert=False).produce(topic, b"no"))
refused("a broker of an unknown authority", ["certificate verify failed", "CERTIFICATE_VERIFY_FAILED"],
        lambda: Client("SASL_SSL", "PLAIN", "admin", "admin-secret", ca="stranger").produce(topic, b"no"))
assert Client(*ways[0]).consume(topic)[1] == len(ways), "a refused client has written"
print("all", len(ways), "ways in, and the refusals")
