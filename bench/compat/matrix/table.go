package main

import "maps"

// A row is one client at one version, speaking as a client of some Kafka.
type row struct {
	client, version, speaks string
	// install makes it ready in a directory of its own and gives the command
	// line of its program, to which the broker's address is added where it
	// says BOOTSTRAP.
	install func(*matrix) ([]string, error)
	// codecs are those the client can produce; reads those it can consume
	// beyond them.
	codecs string
	// sendsTime says whether it can send timestamps, showsTime whether it has any.
	sendsTime, showsTime bool
	// zstd says what comes of a topic with zstd.
	zstd zstd
	// noGroup: it has no consumer groups.
	noGroup bool
	// faults are the client's own, by column: what it does wrong with Apache Kafka
	// as well.
	faults map[string]string
}

const (
	toSnappy = "none gzip snappy"
	toLZ4    = "none gzip snappy lz4"
	all      = "none gzip snappy lz4 zstd"
)

// What comes of a topic with zstd.
type zstd int

const (
	// zstdRead: the client reads it.
	zstdRead zstd = iota
	// zstdRefused: its Fetch (v0–3) carries formats 0 and 1, which have no zstd:
	// the broker must refuse, and no record may come.
	zstdRefused
	// zstdAsStored: its Fetch (v4–9) is older than zstd, and gets the batches as
	// they are, like from Kafka when the topic's compression.type is producer. The
	// client reads all of it, or says that it cannot.
	zstdAsStored
)

// format0 is a row of a client of Kafka 0.8 or 0.9.
func (r row) format0(codecs string) row {
	r.codecs, r.zstd = codecs, zstdRefused
	return r
}

// format1 is a row of a client of Kafka 0.10.
func (r row) format1() row {
	r.codecs, r.zstd, r.sendsTime, r.showsTime = toLZ4, zstdRefused, true, true
	return r
}

// format2 is a row of a client of Kafka 0.11 to 2.0.
func (r row) format2() row {
	r.codecs, r.zstd, r.sendsTime, r.showsTime = toLZ4, zstdAsStored, true, true
	return r
}

// fault names a fault of the client's own.
func (r row) fault(column, why string) row {
	faults := maps.Clone(r.faults)
	if faults == nil {
		faults = map[string]string{}
	}
	faults[column] = why
	r.faults = faults
	return r
}

const (
	markers  = "shows the control batch at a transaction's end as a record, from Apache Kafka 4.2 as well"
	oldLZ4   = "refuses the LZ4 header checksum of format 0, which Kafka has always written wrong (KAFKA-3160)"
	earlyAPI = "sends zstd by Produce v3, where Kafka refuses it"
	asks     = "0.10.0.0, but asks ApiVersions all the same"
)

// current is a row of a client of Kafka 2.1 or later.
func (r row) current() row {
	r.codecs, r.sendsTime, r.showsTime = all, true, true
	return r
}

// withoutGroup is a row of a client that has no consumer groups.
func (r row) withoutGroup() row {
	r.noGroup = true
	return r
}

func rows() []row {
	var all []row
	all = append(all, pythonRows()...)
	all = append(all, javaRows()...)
	all = append(all, goRows()...)
	return append(all, otherRows()...)
}

func pythonRows() []row {
	kp := func(version, python, api string) row {
		return row{client: "kafka-python", version: version, speaks: api, install: python3(python, "kafka-python", version, api,
			"lz4", "xxhash", "python-snappy", "zstandard")}
	}
	ck := func(version, python, fallback string) row {
		return row{client: "confluent-kafka", version: version, speaks: fallback, install: python3(python, "confluent-kafka", version, fallback)}
	}
	return []row{
		kp("1.4.7", "3.7", "0.9").format0(toSnappy),
		kp("1.4.7", "3.7", "0.10").format1(),
		kp("1.4.7", "3.7", "0.10.1").format1(),
		kp("1.4.7", "3.7", "0.11").format2(),
		kp("1.4.7", "3.7", "1.0.0").format2().fault("transaction", markers),
		kp("1.4.7", "3.7", "auto").format2().fault("transaction", markers),
		kp("2.0.2", "3.11", "0.9").format0(toLZ4),
		kp("2.0.2", "3.11", "0.10.1").format1(),
		kp("2.0.2", "3.11", "0.11").format2(),
		kp("2.0.2", "3.11", "1.1.0").format2().fault("transaction", markers),
		kp("2.0.2", "3.11", "auto").format2().fault("transaction", markers),
		kp("newest", "3.11", "0.9").format0(toLZ4),
		kp("newest", "3.11", "0.10.2").format1(),
		kp("newest", "3.11", "0.11").format2(),
		kp("newest", "3.11", "1.1").format2(),
		kp("newest", "3.11", "2.4").current(),
		kp("newest", "3.11", "3.9").current(),
		kp("newest", "3.11", "auto").current(),
		ck("1.9.2", "3.10", "0.9.0.1").format0(toLZ4),
		ck("1.9.2", "3.10", "0.10.0.0").current().speaking(asks),
		ck("1.9.2", "3.10", "auto").current(),
		ck("2.0.2", "3.11", "0.9.0.1").format0(toLZ4),
		ck("2.0.2", "3.11", "0.10.0.0").current().speaking(asks),
		ck("2.0.2", "3.11", "auto").current(),
		ck("newest", "3.11", "0.9.0.1").format0(toLZ4),
		ck("newest", "3.11", "0.10.0.0").current().speaking(asks),
		ck("newest", "3.11", "auto").current(),
	}
}

func javaRows() []row {
	j := func(version string) row {
		return row{client: "Java kafka-clients", version: version, speaks: "its own", install: java(version)}
	}
	return []row{
		j("0.9.0.1").format0(toLZ4),
		j("0.10.2.2").format1(),
		j("1.1.1").format2(),
		j("2.8.2").current(),
		j("3.9.1").current(),
		j("4.1.0").current(),
	}
}

func goRows() []row {
	s := func(module, version, kafka string) row {
		return row{client: "sarama", version: version, speaks: kafka, install: sarama(module, version, kafka)}
	}
	const before, now = "github.com/Shopify/sarama", "github.com/IBM/sarama"
	f := func(kafka string) row {
		return row{client: "franz-go", version: "newest", speaks: kafka, install: ownGo("franz", kafka)}
	}
	return []row{
		s(before, "v1.19.0", "0.8.2.0").format0(toSnappy).fault("consume lz4", oldLZ4).withoutGroup(),
		s(before, "v1.19.0", "0.11.0.0").format2().withoutGroup(),
		s(before, "v1.23.1", "0.10.2.0").format1(),
		s(before, "v1.23.1", "2.1.0").current().fault("produce zstd", earlyAPI),
		s(before, "v1.30.0", "0.10.2.0").format1(),
		s(before, "v1.30.0", "2.8.0").current(),
		s(before, "v1.38.1", "1.1.0").format2(),
		s(now, "newest", "0.8.2.0").format0(toSnappy).fault("consume lz4", oldLZ4).withoutGroup(),
		s(now, "newest", "0.9.0.1").format0(toSnappy).fault("consume lz4", oldLZ4).withoutGroup(),
		s(now, "newest", "0.10.2.0").format1(),
		s(now, "newest", "0.11.0.0").format2(),
		s(now, "newest", "1.1.0").format2(),
		s(now, "newest", "2.1.0").current(),
		s(now, "newest", "2.8.0").current(),
		s(now, "newest", "3.6.0").current(),
		s(now, "newest", "4.0.0").current(),
		row{client: "kafka-go", version: "newest", speaks: "its own", install: ownGo("kafkago", "")}.current().fault("transaction", markers),
		f("0.9.0").format0(toLZ4).fault("consume lz4", oldLZ4),
		f("0.10.0").format1(),
		f("0.10.2").format1(),
		f("0.11.0").format2(),
		f("1.1").format2(),
		f("2.1").current(),
		f("2.8").current(),
		f("3.9").current(),
		f("newest").current(),
	}
}

func otherRows() []row {
	k := func(fallback string) row {
		return row{client: "kcat", version: "of the system", speaks: fallback, install: kcat(fallback)}
	}
	js := func(version string) row {
		return row{client: "kafkajs", version: version, speaks: "its own", install: kafkajs(version)}
	}
	return []row{
		js("1.16.0").format2(),
		js("2.2.4").format2(),
		k("0.9.0.1").format0(toLZ4).withoutTime(),
		k("0.10.0.0").current().speaking(asks).withoutTime(),
		k("auto").current().withoutTime(),
	}
}

// speaking is a row that does not speak what it was told to.
func (r row) speaking(what string) row {
	r.speaks = what
	return r
}

// withoutTime is a row of a client that cannot set a record's timestamp.
func (r row) withoutTime() row {
	r.sendsTime = false
	return r
}
