package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// passedOver are the fields that differ from broker to broker by nature.
var passedOver = []string{"ThrottleMillis", "ErrorMessage", "Host", "Port", "NodeID", "ClientHost", "StartTimestamp", "LastTimestamp",
	"UnknownTags", "Version", "LogAppendTime", "AuthorizedOperations", "LogStartOffset", "CoordinatorID",
	// KIP-848: who gets which partition follows the order of member ids, some of which a broker makes.
	"Assignment", "TargetAssignment"}

// flatten gives an answer as lines, path and value. name makes what a broker
// chose itself comparable.
func flatten(v any, name func(field string, v any) (string, bool)) []string {
	var out []string
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		if s, ok := name(path[strings.LastIndex(path, ".")+1:], v.Interface()); ok {
			out = append(out, path+" = "+s)
			return
		}
		switch v.Kind() {
		case reflect.Pointer:
			if v.IsNil() {
				out = append(out, path+" = null")
				return
			}
			walk(path, v.Elem())
		case reflect.Struct:
			// An id that is not known has producer 0, who may be anybody's name.
			code := v.FieldByName("ErrorCode")
			unknown := v.Type().Name() == "DescribeTransactionsResponseTransactionState" && code.Int() != 0
			for i := range v.NumField() {
				f := v.Type().Field(i)
				if f.IsExported() && !slices.Contains(passedOver, f.Name) && !(unknown && f.Name == "ProducerID") {
					walk(path+"."+f.Name, v.Field(i))
				}
			}
		case reflect.Slice:
			if b, ok := v.Interface().([]byte); ok {
				out = append(out, fmt.Sprintf("%s = %q", path, b))
				return
			}
			elements := make([]string, v.Len())
			for i := range v.Len() {
				elements[i] = strings.Join(flatten(v.Index(i).Interface(), name), ", ")
			}
			slices.Sort(elements)
			for _, e := range elements {
				out = append(out, fmt.Sprintf("%s{%s}", path, e))
			}
		default:
			out = append(out, fmt.Sprintf("%s = %v", path, v.Interface()))
		}
	}
	walk("", reflect.ValueOf(v))
	return out
}

// differ gives the lines that only one of the two has.
func differ(a, b []string) (onlyA, onlyB []string) {
	return without(a, b), without(b, a)
}

func without(a, b []string) (out []string) {
	left := slices.Clone(b)
	for _, x := range a {
		if i := slices.Index(left, x); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			out = append(out, x)
		}
	}
	return out
}
