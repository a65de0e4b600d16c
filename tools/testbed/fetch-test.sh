#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Test fetch.sh on small archives on a loopback server. Their lists contain files that do not exist.
# The test runs in the toolchain root, and the output has the format of a Rust test.
set -euo pipefail

fetch=$(dirname "$(realpath "$0")")/fetch.sh
. "${fetch%/*}/suites.sh"
top=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || :; rm -rf "$top"' EXIT
server=
passed=0 failed=0

# deb SUITE PACKAGE VERSION [DEPENDS]: add a package to the archive and to the list of a suite.
deb() {
	local pool=$archive/pool list=$archive/dists/$1/main/binary-s390x/Packages
	local name=$2_${3#*:}_s390x.deb control
	mkdir -p "$pool" "${list%/*}" "$top/deb/DEBIAN"
	control="Package: $2
Version: $3
Architecture: s390x
Maintainer: nobody <nobody@localhost>
Description: a test${4:+
Depends: $4}"
	echo "$control" >"$top/deb/DEBIAN/control"
	dpkg-deb --build -Znone "$top/deb" "$pool/$name" >/dev/null
	printf '%s\nFilename: pool/%s\nSize: %s\nSHA256: %s\n\n' "$control" "$name" \
		"$(stat -c %s "$pool/$name")" "$(sha256sum <"$pool/$name" | cut -d ' ' -f 1)" >>"$list"
}

# lose NAME...: delete files that lists contain.
lose() { (cd "$archive/pool" && rm "$@"); }

# Serves $top. Files below /busy/ are available at the third request.
serve() {
	exec python3 - "$top" <<-'END'
		import collections, functools, http.server, pathlib, sys

		asked = collections.Counter()

		class Handler(http.server.SimpleHTTPRequestHandler):
		    def do_GET(self):
		        asked[self.path] += 1
		        if self.path.startswith("/busy/pool/") and asked[self.path] < 3:
		            self.send_error(503)
		        else:
		            super().do_GET()

		    def log_message(self, *_):
		        pass

		top = pathlib.Path(sys.argv[1])
		handler = functools.partial(Handler, directory=top)
		with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
		    (top / "port.new").write_text(str(server.server_port))
		    (top / "port.new").rename(top / "port")
		    server.serve_forever()
	END
}

# begin NAME: start a new archive.
begin() {
	archive=$top/$1
	mkdir -p "$archive"
}

# fetch PACKAGE[/SUITE]...: fetch packages. The output is in $top/out, and the messages are in
# $top/err.
fetch() {
	local root=$archive/root suite list words
	for suite in "$archive"/dists/*; do
		list=main/binary-s390x/Packages
		[ -e "$suite/Release" ] || printf '%s\n' "Suite: ${suite##*/}" "Codename: ${suite##*/}" \
			"Architectures: s390x" "Components: main" "Date: $(date -Ru)" "SHA256:" \
			" $(sha256sum <"$suite/$list" | cut -d ' ' -f 1) $(stat -c %s "$suite/$list") $list" \
			>"$suite/Release"
	done
	configure "$root" "[trusted=yes]" "http://127.0.0.1:$port/${archive##*/}" trixie "$@"
	echo 'Acquire::Retries::Delay "false"; Acquire::http::Proxy "DIRECT";' >>"$root/apt.conf"
	words=("${@%/*}")
	rc=0
	APT_CONFIG=$root/apt.conf FETCH_PAUSE=0 "$fetch" "$root" install "${words[@]}" >"$top/out" 2>"$top/err" || rc=$?
	got=$(cd "$root/var/cache/apt/archives" && find . -name '*.deb' -printf '%f\n' | sed 's/_s390x.deb//' | sort | paste -sd' ')
}

# expect WHAT GOT WANTED: require that both are equal.
expect() {
	[ "$2" = "$3" ] || {
		printf '%s: %s\n  wanted: %s\n' "$1" "$2" "$3"
		cat "$top/err"
		return 1
	}
}

# says TEXT: require TEXT in the messages.
says() { grep -qF -e "$1" "$top/err" || expect "said" "$(cat "$top/err")" "$1"; }

all_there() {
	begin all
	deb trixie app 1.0 lib
	deb trixie lib 1.0
	deb sid lib 3.0
	fetch app
	expect fetched "$got" "app_1.0 lib_1.0"
	expect said "$(grep -v '^fetch: ' "$top/err" || :)" ""
}

# A replaced library also replaces the packages that must have the same version.
together() {
	begin together
	deb trixie app 1.0 "lib (>= 1), tool"
	deb trixie lib 1:1.0+a~b "base (= 1)"
	deb trixie tool 1.0 "base (= 1)"
	deb trixie base 1
	deb forky lib 1:2.0 "base (= 2)"
	deb forky tool 2.0 "base (= 2)"
	deb forky base 2
	lose lib_1.0+a~b_s390x.deb
	fetch app
	expect fetched "$got" "app_1.0 base_2 lib_1%3a2.0 tool_2.0"
	says "lib 1:2.0 for 1:1.0+a~b"
	# An installation of these packages then has no other choice.
	expect chosen "$(APT_CONFIG=$archive/root/apt.conf apt-get -qq --print-uris \
		-o Dir::Cache::Archives=/nonexistent install app | cut -d ' ' -f 2 | sort | paste -sd' ')" \
		"app_1.0_s390x.deb base_2_s390x.deb lib_1%3a2.0_s390x.deb tool_2.0_s390x.deb"
}

# Updates precede newer suites, and an older version in a suite precedes another suite.
nearest() {
	begin nearest
	deb trixie one 1.2
	deb trixie one 1.1
	deb trixie two 1.2
	deb trixie-updates two 1.1
	deb forky one 2.0
	deb forky two 2.0
	lose one_1.2_s390x.deb two_1.2_s390x.deb
	fetch one two
	expect fetched "$got" "one_1.1 two_1.1"
}

# Several packages come from the same newer suite.
two_newer() {
	begin two
	deb trixie app 1.0
	deb trixie tool 1.0
	deb forky app 2.0
	deb forky tool 2.0
	deb sid lib 3.0
	fetch app/forky tool/forky
	expect fetched "$got" "app_2.0 tool_2.0"
}

# A package from a newer suite is not replaced by an older version.
newer() {
	begin newer
	deb trixie app 1.0
	deb forky app 2.0 "lib (>= 2)"
	deb sid app 3.0 "lib (>= 2)"
	deb trixie lib 1.0
	deb sid lib 3.0
	deb forky lib 2.0
	lose app_2.0_s390x.deb lib_2.0_s390x.deb
	fetch app/forky
	expect fetched "$got" "app_3.0 lib_3.0"
}

nothing_left() {
	begin nothing
	deb trixie app 1.0 "lib, other"
	deb trixie lib 1.0
	deb trixie other 1.0
	deb forky lib 2.0
	deb sid lib 3.0
	lose lib_{1,2,3}.0_s390x.deb
	fetch app nosuch
	expect status $rc 1
	says "the archive has these packages in no version and no suite: nosuch"
	fetch app
	expect status $rc 1
	says "the archive has these packages in no version and no suite: lib (not 1.0, 2.0, 3.0)"
	expect "last line" "$(tail -n 1 "$top/err")" "error: the archive has these packages in no version and no suite: lib (not 1.0, 2.0, 3.0)"
}

# The list of a suite may itself be wrong.
no_list() {
	begin list
	deb trixie app 1.0
	deb forky app 2.0
	deb sid app 3.0
	fetch app
	rm -r "$archive/root" "$archive/dists/forky/main"
	lose app_1.0_s390x.deb
	fetch app
	expect fetched "$got" "app_3.0"
	says "note: the archive has no list of forky"
}

busy() {
	begin busy
	deb trixie app 1.0
	deb sid app 3.0
	fetch app
	expect fetched "$got" "app_1.0"
}

no_server() {
	begin silent
	deb trixie app 1.0
	port=1 fetch app
	expect status $rc 1
	says "the archive has no lists of packages"
}

# The solver of apt 2 considers one version of each package.
old_solver() {
	begin old
	deb trixie app 1.0 lib
	deb trixie lib 1.0 "base (= 1)"
	deb trixie base 1
	deb forky app 2.0 lib
	deb forky lib 2.0 "base (= 2)"
	deb forky base 2
	lose lib_1.0_s390x.deb
	FETCH_SOLVER=old fetch app
	expect fetched "$got" "app_2.0 base_2 lib_2.0"
}

serve &
server=$!
until [ -e "$top/port" ]; do sleep 0.1; done
port=$(cat "$top/port")
for test in all_there together nearest newer two_newer nothing_left no_list busy no_server old_solver; do
	# The test runs in its own process, which ends at the first failure.
	($test) >"$top/log" 2>&1 &
	if wait $!; then
		passed=$((passed + 1))
		echo "test fetch::$test ... ok"
	else
		failed=$((failed + 1))
		echo "test fetch::$test ... FAILED"
		cat "$top/log"
	fi
done
[ $failed = 0 ] && result=ok || result=FAILED
echo "test result: $result. $passed passed; $failed failed; 0 ignored; 0 measured; 0 filtered out"
[ $failed = 0 ]
