# franz-go over SASL_PLAINTEXT, SASL_SSL and mutual TLS: every mechanism,
# certificates, and what is to be refused.
. "$COMPAT_HERE/security.sh"
setup() { secure_settings; }
run_case() { (cd "$COMPAT_HERE" && go test -count=1 -run TestSecurity ./franz); whole_matrix; }
