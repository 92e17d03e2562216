package record

import "github.com/chronik-stream/chronik/codec/compress"

// KeepCodec asks a conversion to keep the codec that the data came with
// (compression.type=producer).
const KeepCodec compress.Codec = -1

// UpConvertOptions says what to make of a message set.
type UpConvertOptions struct {
	// Codec is the batch's codec, or KeepCodec. Level is its level.
	Codec compress.Codec
	Level int
	// Inflate is the most bytes that the set's compressed messages may come to.
	Inflate int
}

// UpConvert appends one v2 batch with the messages of a v0 or v1 message set,
// in their order and with offsets from 0, as Kafka 3.9 does on produce
// (LogValidator.java). Offsets and, for LogAppendTime topics, timestamps are
// the log's to assign; v0 messages have none. A set without a whole message
// gives dst as it was. Not on an event loop.
func UpConvert(dst, set []byte, o UpConvertOptions) ([]byte, error) {
	options := DefaultBuilderOptions()
	start := len(dst)
	b := NewBuilder(dst, options)
	codec, err := VisitMessages(set, o.Inflate, func(m *Message) error {
		if m.LogAppendTime {
			return ErrTimestampType
		}
		b.Append(m.Timestamp, m.Key, m.Value)
		return nil
	})
	if err != nil {
		return dst, err
	}
	if b.Count() == 0 {
		return b.dst[:start], nil
	}
	b.o.Level, b.o.Codec = o.Level, o.Codec
	if o.Codec == KeepCodec {
		b.o.Codec = codec
	}
	return b.Finish()
}

// Recompress appends a copy of a batch with another codec (compression.type of
// the topic). Everything but codec, length and CRC stays. Inflate bounds the
// records decompressed. Not on an event loop.
func Recompress(dst []byte, b Batch, codec compress.Codec, level, inflate int) ([]byte, error) {
	payload, err := b.Payload(nil, inflate)
	if err != nil {
		return dst, err
	}
	start := len(dst)
	out := append(dst, b[:HeaderSize]...)
	if out, err = compress.Append(out, payload, codec, level); err != nil {
		return out[:start], err
	}
	h := Batch(out[start:])
	h[offAttributes+1] = h[offAttributes+1]&^attrCodec | byte(codec)
	if err := h.setLength(); err != nil {
		return out[:start], err
	}
	h.SetCRC()
	return out, nil
}
