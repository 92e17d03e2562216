"""Wrote the files beside it: compressed forms that clients in other languages
send, with cramjam, lz4 and zstandard (the C libraries)."""
import gzip, zlib
import cramjam, lz4.frame, zstandard

text = b"".join(b"line %d of a text that repeats itself; " % (i % 50) for i in range(4000))

def save(name, data):
    with open(name, "wb") as f:
        f.write(data)

save("gzip-default", gzip.compress(text, mtime=0))
save("gzip-two-members", gzip.compress(text[:70000], mtime=0) + gzip.compress(text[70000:], mtime=0))
save("snappy-raw", bytes(cramjam.snappy.compress_raw(text)))
save("lz4-linked-blocks", lz4.frame.compress(text, block_linked=True, block_size=lz4.frame.BLOCKSIZE_MAX64KB))
save("lz4-checksums-size", lz4.frame.compress(text, block_linked=False, content_checksum=True, block_checksum=True, store_size=True))
save("lz4-4mb-blocks-hc", lz4.frame.compress(text, block_size=lz4.frame.BLOCKSIZE_MAX4MB, compression_level=12))
save("zstd-default", zstandard.ZstdCompressor(level=3).compress(text))
save("zstd-checksum", zstandard.ZstdCompressor(level=1, write_checksum=True).compress(text))
stream = zstandard.ZstdCompressor(level=22).compressobj()
save("zstd-22-stream", stream.compress(text) + stream.flush())
save("zstd-two-frames", zstandard.ZstdCompressor().compress(text[:70000]) + zstandard.ZstdCompressor().compress(text[70000:]))
