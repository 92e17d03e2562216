package auth

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// attribute and relativeName are X.501's AttributeTypeAndValue and
// RelativeDistinguishedName, with the value's encoding kept: what is not text
// is written as that. The suffix SET tells encoding/asn1 what it is.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type relativeNameSET []attribute

// dnKeywords are the attributes that RFC 2253 has names for; Java writes all
// others by number.
var dnKeywords = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET",
	"2.5.4.10": "O", "2.5.4.11": "OU",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
}

// SubjectName writes a certificate's raw subject as Java's
// X500Principal.getName() does (RFC 2253), which is the text that Kafka maps to
// a principal: the last relative name first, no spaces, attributes without a
// keyword as OID=#hex. Go's own pkix.Name.String differs in the keywords and
// the escapes.
func SubjectName(raw []byte) (string, error) {
	var names []relativeNameSET
	rest, err := asn1.Unmarshal(raw, &names)
	if err != nil {
		return "", fmt.Errorf("auth: the certificate's subject cannot be read: %w", err)
	}
	if len(rest) != 0 {
		return "", errors.New("auth: the certificate's subject has bytes behind its end")
	}
	var b strings.Builder
	for i, name := range slices.Backward(names) {
		if i != len(names)-1 {
			b.WriteByte(',')
		}
		for j, a := range name {
			if j != 0 {
				b.WriteByte('+')
			}
			writeAttribute(&b, a)
		}
	}
	return b.String(), nil
}

func writeAttribute(b *strings.Builder, a attribute) {
	oid := a.Type.String()
	keyword, known := dnKeywords[oid]
	text, isText := attributeText(a.Value)
	if !known {
		keyword = oid
	}
	b.WriteString(keyword)
	b.WriteByte('=')
	if !known || !isText {
		b.WriteByte('#')
		b.WriteString(hex.EncodeToString(a.Value.FullBytes))
		return
	}
	escapeDN(b, text)
}

// escapeDN escapes RFC 2253's specials, spaces at either end, and NUL.
func escapeDN(b *strings.Builder, text string) {
	first := len(text) - len(strings.TrimLeft(text, " \r"))
	last := len(strings.TrimRight(text, " \r"))
	for i, r := range text {
		switch {
		case strings.ContainsRune(`,=+<>#;"\`, r):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == 0:
			b.WriteString(`\00`)
		case i < first || i >= last:
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
}

// attributeText is the value of the string types that Java takes for text. It
// reads all of them as UTF-8, T61String and BMPString too.
func attributeText(v asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal || v.IsCompound {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagGeneralString, asn1.TagT61String, asn1.TagBMPString:
		return string([]rune(string(v.Bytes))), true // every bad byte becomes U+FFFD
	}
	return "", false
}
