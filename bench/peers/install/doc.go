// Package install finds the servers that a measurement compares with, and
// fetches them when asked: Debian packages through apt, the NATS server through
// the Go toolchain, RocketMQ through Maven.
//
// Nothing is installed into the system. Debian packages are unpacked, not
// installed, so that no service starts and no root is needed; everything lands in
// one directory, which may be deleted at any time:
//
//	$DUELOG_BENCH_CACHE, else /var/cache/duelog-bench for root,
//	else duelog-bench in the user's cache directory
//	    debian/usr/...             unpacked packages
//	    nats-server-<version>      one file
//	    rocketmq-<version>/lib     jars
//	    rocketmq-<version>/classes what the driver adds
//
// root has another place because some servers refuse to run as root, and the
// user they run as cannot look into root's home.
//
// A server that the machine has already is used as it is.
package install
