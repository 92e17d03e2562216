package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// install runs make in a directory of its own, once: the next run of the matrix
// finds it complete.
func (m *matrix) install(name string, make func(dir string) error) (string, error) {
	dir := filepath.Join(m.work, name)
	done := filepath.Join(dir, ".complete")
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return "", err
	}
	if err := make(dir); err != nil {
		return "", err
	}
	return dir, os.WriteFile(done, nil, 0o644)
}

// run is a command that shows its last words when it fails.
func run(dir, name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Dir = dir
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		return fmt.Errorf("%s: %w: %s", filepath.Base(name), err, strings.Join(lines[max(0, len(lines)-2):], " "))
	}
	return nil
}

// need installs a program's package of the system where the program is missing.
func need(dir, program, pkg string) error {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	install := []string{"install", "-y", "-qq", pkg}
	if run(dir, "apt-get", install...) == nil {
		return nil
	}
	if err := run(dir, "apt-get", "update", "-qq"); err != nil {
		return fmt.Errorf("%s is missing, and %s cannot be installed: %w", program, pkg, err)
	}
	return run(dir, "apt-get", install...)
}

// interpreter finds a Python of that version, or the default one when the
// version is its own.
func interpreter(version string) (string, error) {
	candidates := []string{"python" + version, "python3"}
	if home, err := os.UserHomeDir(); err == nil {
		more, _ := filepath.Glob(filepath.Join(home, ".pyenv/versions", version+".*", "bin/python3")) // the pattern is well formed
		candidates = slices.Concat(more, candidates)
	}
	for _, c := range candidates {
		out, err := exec.Command(c, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").Output()
		if err == nil && strings.TrimSpace(string(out)) == version {
			return c, nil
		}
	}
	return "", fmt.Errorf("there is no Python %s on this machine, and its packages are made for no newer one", version)
}

// python3 installs a package by its wheels.
func python3(python, library, version, speaks string, also ...string) func(*matrix) ([]string, error) {
	return func(m *matrix) ([]string, error) {
		dir, err := m.install(library+"-"+version, func(dir string) error {
			interpreter, err := interpreter(python)
			if err != nil {
				return err
			}
			if err := run(dir, interpreter, "-m", "venv", dir); err != nil {
				return err
			}
			want := library
			if version != "newest" {
				want += "==" + version
			}
			return run(dir, filepath.Join(dir, "bin/pip"), append([]string{"install", "-q", "--only-binary", ":all:", want}, also...)...)
		})
		return []string{filepath.Join(dir, "bin/python"), filepath.Join(m.here, "scripts/client.py"), library, "BOOTSTRAP", speaks}, err
	}
}

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>chronik.matrix</groupId><artifactId>client</artifactId><version>1</version>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-clients</artifactId><version>%s</version></dependency></dependencies>
</project>
`

// java compiles the Java client against a kafka-clients.
func java(version string) func(*matrix) ([]string, error) {
	return func(m *matrix) ([]string, error) {
		dir, err := m.install("java-"+version, func(dir string) error {
			if err := errors.Join(need(dir, "javac", "default-jdk-headless"), need(dir, "mvn", "maven")); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, "pom.xml"), fmt.Appendf(nil, pom, version), 0o644); err != nil {
				return err
			}
			if err := run(dir, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs", "-DincludeScope=runtime"); err != nil {
				return err
			}
			return run(dir, "javac", "-nowarn", "-cp", "libs/*", "-d", "classes", filepath.Join(m.here, "scripts/Client.java"))
		})
		return []string{"java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", dir + "/classes:" + dir + "/libs/*", "Client", "BOOTSTRAP"}, err
	}
}

// ownGo builds a client of this module.
func ownGo(name, speaks string) func(*matrix) ([]string, error) {
	return func(m *matrix) ([]string, error) {
		out := filepath.Join(m.work, name)
		return []string{out, "BOOTSTRAP", speaks}, run(filepath.Join(m.here, name), "go", "build", "-o", out, ".")
	}
}

// sarama builds the sarama client against a release, which for the old ones is a
// module of its own.
func sarama(module, version, speaks string) func(*matrix) ([]string, error) {
	if version == "newest" {
		return ownGo("sarama", speaks)
	}
	const line = "github.com/chronik-stream/chronik/bench/compat/matrix/line"
	return func(m *matrix) ([]string, error) {
		dir, err := m.install("sarama-"+version, func(dir string) error {
			sources := map[string]string{"line/line.go": "line/line.go", "sarama/main.go": "main.go", "sarama/group.go": "group.go"}
			if version == "v1.19.0" { // consumer groups came with 1.20
				delete(sources, "sarama/group.go")
				sources["sarama/group_none.go.old"] = "group.go"
			}
			for from, to := range sources {
				text, err := os.ReadFile(filepath.Join(m.here, from))
				if err != nil {
					return err
				}
				s := strings.ReplaceAll(strings.ReplaceAll(string(text), "github.com/IBM/sarama", module), line, "old/line")
				if version == "v1.19.0" {
					s = strings.Replace(s, `, "zstd": sarama.CompressionZSTD`, "", 1)
				}
				to = filepath.Join(dir, to)
				if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, []byte(s), 0o644)); err != nil {
					return err
				}
			}
			mod := fmt.Sprintf("module old\n\ngo 1.26.0\n\nrequire %s %s\n", module, version)
			if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644); err != nil {
				return err
			}
			if err := run(dir, "go", "mod", "tidy"); err != nil {
				return err
			}
			return run(dir, "go", "build", "-o", "client", ".")
		})
		return []string{filepath.Join(dir, "client"), "BOOTSTRAP", speaks}, err
	}
}

// kafkajs installs it with the codecs that others wrote for it; the one for zstd
// does not build on a Node of today. The one for lz4 compiles C against Node's
// headers, which it fetches and not every machine gets: nothing is compiled, and
// lz4 takes its own JavaScript instead.
func kafkajs(version string) func(*matrix) ([]string, error) {
	return func(m *matrix) ([]string, error) {
		dir, err := m.install("kafkajs-"+version, func(dir string) error {
			if err := errors.Join(need(dir, "node", "nodejs"), need(dir, "npm", "npm")); err != nil {
				return err
			}
			err := run(dir, "npm", "install", "--ignore-scripts", "--loglevel=error", "--no-fund", "--no-audit", "kafkajs@"+version, "kafkajs-snappy", "kafkajs-lz4")
			if err != nil {
				return err
			}
			lib := filepath.Join(dir, "node_modules/lz4/lib")
			return os.Rename(filepath.Join(lib, "utils-js.js"), filepath.Join(lib, "utils.js"))
		})
		return []string{"sh", "-c", `cd "$0" && exec node "$1" "$2"`, dir, filepath.Join(m.here, "scripts/client.mjs"), "BOOTSTRAP"}, err
	}
}

// kcat comes with the system.
func kcat(fallback string) func(*matrix) ([]string, error) {
	return func(m *matrix) ([]string, error) {
		err := need(m.work, "kcat", "kcat")
		return []string{"python3", filepath.Join(m.here, "scripts/kcat.py"), "BOOTSTRAP", fallback}, err
	}
}
