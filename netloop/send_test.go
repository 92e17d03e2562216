package netloop

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// rangesHandler answers a request of (off, len)* pairs with the ranges of file,
// a header of eight bytes before each.
type rangesHandler struct {
	handlerFuncs
	file  File
	mem   []byte // non-nil: Range.Mem is set
	hot   bool
	owner *countingOwner
	cuts  int64
	mu    sync.Mutex
}

func (h *rangesHandler) Frame(c Conn, f Frame) {
	total := 0
	for b := f.Buf.B; len(b) >= 8; b = b[8:] {
		total += 8 + int(binary.BigEndian.Uint32(b[4:]))
	}
	r := NewResponse(64)
	r.Buf.B = binary.BigEndian.AppendUint32(r.Buf.B, uint32(total))
	for b := f.Buf.B; len(b) >= 8; b = b[8:] {
		r.Buf.B = append(r.Buf.B, b[:8]...)
		off, n := int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint32(b[4:]))
		rng := Range{File: h.file, Off: off, Len: n, Hot: h.hot, Owner: h.owner}
		if h.mem != nil {
			rng.Mem = h.mem[off : off+n]
		}
		r.Cut(rng)
		h.mu.Lock()
		h.cuts++
		h.mu.Unlock()
	}
	f.Buf.Release()
	c.Respond(f.Slot, r)
}

func (h *rangesHandler) allReleased() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.owner.released() == h.cuts
}

func askRanges(spans ...[2]int) []byte {
	var b []byte
	for _, s := range spans {
		b = binary.BigEndian.AppendUint32(b, uint32(s[0]))
		b = binary.BigEndian.AppendUint32(b, uint32(s[1]))
	}
	return b
}

// checkRanges holds an answer against the content.
func checkRanges(content, answer []byte, spans ...[2]int) error {
	for _, s := range spans {
		if len(answer) < 8+s[1] {
			return fmt.Errorf("the answer ends early in range %v", s)
		}
		if !bytes.Equal(answer[:8], askRanges(s)) {
			return fmt.Errorf("the header of range %v is wrong", s)
		}
		if !bytes.Equal(answer[8:8+s[1]], content[s[0]:s[0]+s[1]]) {
			return fmt.Errorf("the bytes of range %v are wrong", s)
		}
		answer = answer[8+s[1]:]
	}
	if len(answer) > 0 {
		return fmt.Errorf("%d bytes too many", len(answer))
	}
	return nil
}

// TestHoles answers with ranges of every size and kind, on both transports.
func TestHoles(t *testing.T) {
	content := pattern(3 << 20)
	disk := tempFile(t, content)
	kinds := map[string]rangesHandler{
		"disk, hot":              {file: disk, hot: true},
		"disk, probed":           {file: disk},
		"disk, mapped and hot":   {file: disk, hot: true, mem: content},
		"disk, mapped, not hot":  {file: disk, mem: content},
		"no descriptor":          {file: memFile(content)},
		"no descriptor, memory":  {file: memFile(content), mem: content},
		"memory only":            {mem: content},
		"no descriptor, and hot": {file: memFile(content), hot: true},
	}
	spans := [][2]int{
		{0, 100}, {100, 0}, {5, 4096}, {1 << 20, smallRange}, {7, smallRange + 1}, {0, 1 << 20},
		{3<<20 - 10, 10}, {1234, 700_000}, {99, 1}, {0, 3 << 20},
	}
	for name := range kinds {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, tls=%v", name, secure), func(t *testing.T) {
				h := &rangesHandler{file: kinds[name].file, mem: kinds[name].mem, hot: kinds[name].hot, owner: newCountingOwner()}
				s, addr := listen(t, h, secureOption(t, secure))
				nc := dialMaybeTLS(t, addr, secure)
				go func() {
					nc.Write(frameOf(askRanges(spans...)))
					for _, sp := range spans {
						nc.Write(frameOf(askRanges(sp)))
					}
				}()
				if err := checkRanges(content, readFrame(t, nc), spans...); err != nil {
					t.Fatal(err)
				}
				for _, sp := range spans {
					if err := checkRanges(content, readFrame(t, nc), sp); err != nil {
						t.Fatal(err)
					}
				}
				eventually(t, "every range is released", h.allReleased)
				st := s.Stats()
				if _, ok := h.file.(diskFile); ok && !secure && st.SendfileBytes < 6<<20 {
					t.Errorf("only %d bytes left by sendfile", st.SendfileBytes)
				}
			})
		}
	}
}

// TestManySmallRangesInOneAnswer has more pieces than one system call takes.
func TestManySmallRangesInOneAnswer(t *testing.T) {
	content := pattern(1 << 20)
	for _, mem := range [][]byte{nil, content} {
		h := &rangesHandler{file: tempFile(t, content), mem: mem, hot: true, owner: newCountingOwner()}
		_, addr := listen(t, h, nil)
		nc := dial(t, addr)
		spans := make([][2]int, 1000)
		for i := range spans {
			spans[i] = [2]int{rand.IntN(1 << 19), rand.IntN(2000)}
		}
		go nc.Write(frameOf(askRanges(spans...)))
		if err := checkRanges(content, readFrame(t, nc), spans...); err != nil {
			t.Fatal(err)
		}
		eventually(t, "every range is released", h.allReleased)
	}
}

// TestColdRanges drops the file from the page cache first: the loop must let a
// worker wait for the disk.
func TestColdRanges(t *testing.T) {
	content := pattern(4 << 20)
	cold := map[bool]int{} // by whether the range is large
	for _, sp := range [][2]int{{0, 4 << 20}, {1 << 20, 3000}, {100, smallRange}, {5000, 1 << 20}} {
		// A file for each: pages that a socket still refers to cannot be dropped.
		f := tempFile(t, content)
		if err := f.Sync(); err != nil { // dirty pages cannot be dropped either
			w, err := os.OpenFile(f.Name(), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(w.Sync(), w.Close()); err != nil {
				t.Fatal(err)
			}
		}
		h := &rangesHandler{file: f, owner: newCountingOwner()}
		s, addr := listen(t, h, nil)
		nc := dial(t, addr)
		if err := unix.Fadvise(int(f.File.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
		sendFrame(t, nc, askRanges(sp))
		if err := checkRanges(content, readFrame(t, nc), sp); err != nil {
			t.Fatal(err)
		}
		if s.Stats().ColdReads > 0 {
			cold[sp[1] > smallRange]++
		}
		eventually(t, "every range is released", h.allReleased)
	}
	if len(cold) == 0 {
		t.Skip("the file system under the temporary directory keeps everything in memory")
	}
	// A disk with a cache of its own may fill a small range in the time between
	// the kernel's read-ahead and its answer; a large one it cannot.
	if cold[true] == 0 {
		t.Errorf("cold ranges, by whether they are large: %v", cold)
	}
}

// TestTruncatedFile must close instead of sending something else or nothing.
func TestTruncatedFile(t *testing.T) {
	for _, hot := range []bool{true, false} {
		for _, n := range []int{1000, 1 << 20} {
			for _, secure := range []bool{false, true} {
				f := tempFile(t, pattern(500))
				h := &rangesHandler{file: f, hot: hot, owner: newCountingOwner()}
				s, addr := listen(t, h, secureOption(t, secure))
				nc := dialMaybeTLS(t, addr, secure)
				sendFrame(t, nc, askRanges([2]int{0, n}))
				if _, err := tryReadFrame(nc); err == nil {
					t.Fatalf("a range of %d bytes came out of a file of 500", n)
				}
				eventually(t, "the close is counted", func() bool { return s.Stats().Closed[ClosedSendFailed] == 1 })
				if byDescriptor := !secure && (n > smallRange || !hot); byDescriptor && f.faults.Load() == 0 {
					t.Errorf("%d bytes, hot %v: the file was not told that it has failed", n, hot)
				}
				eventually(t, "every range is released", h.allReleased)
			}
		}
	}
}

// TestSlowReadersAndAborts has readers that pause, and 200 that go away in the
// middle; what arrives is right, and nothing is held afterwards.
func TestSlowReadersAndAborts(t *testing.T) {
	content := pattern(8 << 20)
	sum := crc32.ChecksumIEEE(content)
	for name, file := range map[string]File{"disk": tempFile(t, content), "no descriptor": memFile(content)} {
		h := &rangesHandler{file: file, owner: newCountingOwner()}
		s, addr := listen(t, h, func(o *Options) { o.SocketSendBuffer = 64 << 10 })
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				nc, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				defer nc.Close()
				deadline(t, nc)
				const asks = 3
				for range asks {
					if _, err := nc.Write(frameOf(askRanges([2]int{0, len(content)}))); err != nil {
						t.Error(err)
					}
				}
				for range asks {
					var head [12]byte
					if _, err := io.ReadFull(nc, head[:]); err != nil {
						t.Error(err)
						return
					}
					crc := crc32.NewIEEE()
					if _, err := io.CopyBuffer(crc, onlyReader{io.LimitReader(nc, int64(len(content)))}, make([]byte, 30_000)); err != nil {
						t.Error(err)
					}
					if crc.Sum32() != sum {
						t.Error("a slow reader got wrong bytes")
					}
				}
			})
		}
		for i := range 8 {
			wg.Go(func() {
				for range 25 {
					nc, err := net.Dial("tcp", addr)
					if err != nil {
						t.Error(err)
						return
					}
					deadline(t, nc)
					nc.Write(frameOf(askRanges([2]int{0, len(content)}, [2]int{5, 6000})))
					io.CopyN(io.Discard, nc, int64(rand.IntN(1<<20)))
					if i%2 == 0 {
						if err := nc.(*net.TCPConn).SetLinger(0); err != nil { // a reset
							t.Error(err)
						}
					}
					nc.Close()
				}
			})
		}
		wg.Wait()
		eventually(t, "all connections are gone", func() bool { return s.Stats().Open == 0 })
		eventually(t, "every range is released", h.allReleased)
		st := s.Stats()
		if st.InFlightBytes != 0 || st.Panics != 0 || st.LateAnswers != 0 {
			t.Errorf("%s: %+v", name, st)
		}
	}
}

type onlyReader struct{ io.Reader }

// TestSlowReaderIsNotRead stops reading a connection whose answers pile up.
func TestSlowReaderIsNotRead(t *testing.T) {
	for _, secure := range []bool{false, true} {
		body := make([]byte, 16<<10)
		s, addr := listen(t, &handlerFuncs{}, func(o *Options) {
			o.OutboundBytes, o.MaxInFlight = 64<<10, 10_000
			o.SocketSendBuffer = 32 << 10
			o.SocketReceiveBuffer = 32 << 10
			secureOption(t, secure)(o)
		})
		nc := dialMaybeTLS(t, addr, secure)
		const total = 600
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for range total {
				if _, err := nc.Write(frameOf(body)); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		eventually(t, "reading stops", func() bool {
			before := s.Stats().Frames
			<-ticks(20)
			return before > 0 && s.Stats().Frames == before && (secure || s.Stats().PausedReads > 0)
		})
		if got := s.Stats().Frames; got >= total {
			t.Errorf("secure=%v: %d frames were taken from a reader that reads nothing", secure, got)
		}
		for range total {
			if got := readFrame(t, nc); len(got) != len(body) {
				t.Fatal("a wrong answer")
			}
		}
		<-sent
	}
}

func TestResponseReleaseDropsEverything(t *testing.T) {
	o := newCountingOwner()
	r := NewResponse(10)
	r.Cut(Range{Owner: o})
	r.Buf.B = append(r.Buf.B, 1)
	r.Cut(Range{Len: 3, Mem: []byte("abc"), Owner: o})
	r.Release()
	if o.released() != 2 {
		t.Errorf("%d owners released, want 2", o.released())
	}
}

func TestRangeWithoutBytesCloses(t *testing.T) {
	h := &handlerFuncs{frame: func(c Conn, f Frame) {
		r := echoOf(f)
		r.Cut(Range{Len: 10})
		f.Buf.Release()
		c.Respond(f.Slot, r)
	}}
	s, addr := listen(t, h, nil)
	nc := dial(t, addr)
	sendFrame(t, nc, []byte("x"))
	if _, err := io.ReadAll(nc); err != nil && !errors.Is(err, unix.ECONNRESET) {
		t.Error(err)
	}
	eventually(t, "the close is counted", func() bool { return s.Stats().Closed[ClosedSendFailed] == 1 })
}
