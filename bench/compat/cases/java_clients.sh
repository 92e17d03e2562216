# The plain Java client: every codec, tombstones, headers, timestamps, transactions
# with cooperative and KIP-848 groups.
setup() { settings+=(group.initial.rebalance.delay.ms=0); kafka_setup; need javac openjdk-17-jdk-headless; }
run_case() { java -Xmx256m -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$COMPAT_WORK/kafka/tools.properties" -cp "$COMPAT_WORK/kafka/libs/*" "$COMPAT_HERE/java/Clients.java" "$BOOTSTRAP"; }
