"""The matrix's kcat: kcat.py BOOTSTRAP VERSION, where VERSION is auto or a
broker.version.fallback. Commands and answers are those of line/line.go; kcat itself
sends neither timestamps nor null keys beside null values, so that records come through
a delimiter and -Z makes empty ones null."""
import subprocess
import sys

bootstrap, version = sys.argv[1:3]
base = ["kcat", "-b", bootstrap] + ([] if version == "auto" else ["-X", "api.version.request=false", "-X", "broker.version.fallback=" + version])


def key(i):
    return b"" if i % 7 == 3 and i % 11 != 5 else b"key-%d" % i


def value(i):
    return b"" if i % 11 == 5 else b"value %d %s" % (i, b"abcdefg" * (i % 40))


def run(args, data=None):
    done = subprocess.run(base + args, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    return done.stdout


def read(args):
    out = run(args + ["-q", "-f", r"%o|%T|%K|%k|%S|%s\n"])
    for row in out.splitlines():
        offset, time, klen, k, vlen, v = row.split(b"|", 5)
        show = lambda n, b: "~" if n == b"-1" else b.hex()
        print("record", offset.decode(), "-1" if version.startswith("0.9") else time.decode(), show(klen, k), show(vlen, v), sep="\t")


for command in sys.stdin:
    f = command.split()
    try:
        if f[0] == "produce":
            data = b"\n".join(key(i) + b"|" + value(i) for i in range(int(f[3])))
            run(["-t", f[1], "-P", "-p", "0", "-z", f[2], "-K", "|", "-Z", "-X", "acks=-1"], data)
        elif f[0] == "consume":
            read(["-t", f[1], "-C", "-p", "0", "-o", "beginning", "-e"])
        else:
            read(["-X", "auto.offset.reset=earliest", "-e", "-G", f[2], f[1]])
        print("end")
    except Exception as e:
        print("error", " ".join(str(e).split()), sep="\t")
    sys.stdout.flush()
