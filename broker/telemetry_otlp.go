package broker

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// Of OpenTelemetry's MetricsData (opentelemetry/proto/metrics/v1/metrics.proto)
// only numbers are read: gauges and sums, their names and string attributes.
// Histograms and summaries are passed over. This is the whole of protobuf that
// the broker needs; it never allocates more than the bytes that it is given.

// otlpPoint is one data point.
type otlpPoint struct {
	name, labels string
	value        float64
}

const (
	maxOTLPName   = 256
	maxOTLPLabels = 512
)

// pbField cuts one field off a protobuf message: a number (varint or fixed) or
// bytes. ok is false at damage.
func pbField(b []byte) (field int, number uint64, data, rest []byte, ok bool) {
	tag, n := binary.Uvarint(b)
	if n <= 0 || tag>>3 == 0 || tag>>3 > math.MaxInt32 {
		return 0, 0, nil, nil, false
	}
	field, b = int(tag>>3), b[n:]
	switch tag & 7 {
	case 0:
		number, n = binary.Uvarint(b)
		if n <= 0 {
			return 0, 0, nil, nil, false
		}
		return field, number, nil, b[n:], true
	case 1:
		if len(b) < 8 {
			return 0, 0, nil, nil, false
		}
		return field, binary.LittleEndian.Uint64(b), nil, b[8:], true
	case 2:
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return 0, 0, nil, nil, false
		}
		b = b[n:]
		return field, 0, b[:size:size], b[size:], true
	case 5:
		if len(b) < 4 {
			return 0, 0, nil, nil, false
		}
		return field, uint64(binary.LittleEndian.Uint32(b)), nil, b[4:], true
	}
	return 0, 0, nil, nil, false
}

// pbEach calls f for every field.
func pbEach(b []byte, f func(field int, number uint64, data []byte) bool) bool {
	for len(b) > 0 {
		field, number, data, rest, ok := pbField(b)
		if !ok || !f(field, number, data) {
			return false
		}
		b = rest
	}
	return true
}

// otlpPoints reads up to most data points of a MetricsData; more are dropped.
func otlpPoints(data []byte, most int) (points []otlpPoint, ok bool) {
	ok = pbEach(data, func(field int, _ uint64, resource []byte) bool {
		return field != 1 || pbEach(resource, func(field int, _ uint64, scope []byte) bool {
			return field != 2 || pbEach(scope, func(field int, _ uint64, metric []byte) bool {
				return field != 2 || otlpMetric(metric, &points, most)
			})
		})
	})
	return points, ok
}

func otlpMetric(metric []byte, points *[]otlpPoint, most int) bool {
	var name string
	from := len(*points)
	ok := pbEach(metric, func(field int, _ uint64, data []byte) bool {
		switch field {
		case 1:
			name = string(data[:min(len(data), maxOTLPName)])
		case 5, 7: // gauge, sum: both have their points in field 1
			return pbEach(data, func(field int, _ uint64, point []byte) bool {
				if field != 1 || len(*points) >= most {
					return true
				}
				p, ok := otlpNumber(point)
				if ok {
					*points = append(*points, p)
				}
				return ok
			})
		}
		return true
	})
	for i := range (*points)[from:] {
		(*points)[from+i].name = strings.ToValidUTF8(name, "?")
	}
	return ok
}

// otlpNumber reads a NumberDataPoint.
func otlpNumber(point []byte) (p otlpPoint, ok bool) {
	var labels []string
	ok = pbEach(point, func(field int, number uint64, data []byte) bool {
		switch field {
		case 4:
			p.value = math.Float64frombits(number)
		case 6:
			p.value = float64(int64(number))
		case 7:
			key, value, whole := otlpAttribute(data)
			labels = append(labels, key+"="+value)
			return whole
		}
		return true
	})
	slices.Sort(labels)
	all := strings.Join(labels, ",")
	// A copy, or what is kept of a client would be as long as what it sent.
	p.labels = strings.ToValidUTF8(strings.Clone(all[:min(len(all), maxOTLPLabels)]), "?")
	return p, ok
}

// otlpAttribute reads a KeyValue; a value that is no string is "".
func otlpAttribute(pair []byte) (key, value string, ok bool) {
	ok = pbEach(pair, func(field int, _ uint64, data []byte) bool {
		switch field {
		case 1:
			key = string(data)
		case 2:
			return pbEach(data, func(field int, _ uint64, text []byte) bool {
				if field == 1 {
					value = string(text)
				}
				return true
			})
		}
		return true
	})
	return key, value, ok
}
