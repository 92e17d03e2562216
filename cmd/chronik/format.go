package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Formats of produce and consume are rpk's, which are franz-go's: a verb says
// what of a record is meant and braces say how, %k{hex}. Two verbs of consume
// mean something of their own when they have no braces: %h is all headers as
// key=value with commas between, and %T is the time as text.

// formatVerbs is what --format's help says of both commands.
const formatVerbs = `%t topic, %p partition, %o offset, %k key, %v value, %h headers, %d time in ms, %e leader epoch, ` +
	`%K, %V lengths, %H number of headers, %%, \n, \t, \xNN; %k{hex}, %v{base64}, %V{big32}, %h{%k=%v }`

// recordFormat writes records as a format says. It counts them (%i).
type recordFormat struct {
	parts []func(dst []byte, r *kgo.Record) []byte
}

// parseFormat reads the format of consume.
func parseFormat(format string) (*recordFormat, error) {
	f := &recordFormat{}
	var layout strings.Builder
	flush := func() error {
		if layout.Len() == 0 {
			return nil
		}
		part, err := kgo.NewRecordFormatter(layout.String())
		if err != nil {
			return fmt.Errorf("-f, --format: %q cannot be read: %w; there are %s, %%T time as text, %%i count", format, err, formatVerbs)
		}
		f.parts = append(f.parts, part.AppendRecord)
		layout.Reset()
		return nil
	}
	depth := 0 // of braces: inside them the verbs are the formatter's
	for i := 0; i < len(format); i++ {
		verb, bare := byte(0), false
		if format[i] == '%' && i+1 < len(format) {
			verb = format[i+1]
			bare = depth == 0 && !strings.HasPrefix(format[i+2:], "{")
		}
		switch {
		case verb == 'h' && bare:
			if err := flush(); err != nil {
				return nil, err
			}
			f.parts = append(f.parts, appendHeaders)
			i++
		case verb == 'T' && bare:
			layout.WriteString("%d{go[" + time.RFC3339Nano + "]}")
			i++
		case verb != 0:
			layout.WriteString(format[i : i+2])
			i++
		default:
			switch format[i] {
			case '{':
				depth++
			case '}':
				depth--
			}
			layout.WriteByte(format[i])
		}
	}
	return f, flush()
}

// appendHeaders writes key=value,key=value.
func appendHeaders(dst []byte, r *kgo.Record) []byte {
	for i, h := range r.Headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, h.Key...), '='), h.Value...)
	}
	return dst
}

// append writes a record.
func (f *recordFormat) append(dst []byte, r *kgo.Record) []byte {
	for _, part := range f.parts {
		dst = part(dst, r)
	}
	return dst
}

// parseHeaders reads key=value of --header.
func parseHeaders(pairs []string) ([]kgo.RecordHeader, error) {
	var headers []kgo.RecordHeader
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("-H, --header: %q is not key=value", pair)
		}
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	return headers, nil
}
