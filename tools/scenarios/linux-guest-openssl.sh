# SPDX-License-Identifier: GPL-2.0
# OpenSSL in a Linux guest computes RSA on a queue of the guest, itself and by libica.
#
# OpenSSL on s390x sends modular exponentiations to an adapter. The provider of openssl-ibmca does so by
# libica. Without both, OpenSSL computes in software. Each adapter operation is compared with software.
# machine: adapter 1 cex7a
# needs: 9p
# image: clients linux
# memory: 1024
# timeout: 300

# in_software COMMAND ARGUMENT..., itself COMMAND ARGUMENT..., by_libica COMMAND ARGUMENT...: run OpenSSL
# in the guest.
in_software() { guest A debian env OPENSSL_s390xcap=nocex openssl "$@"; }
itself() { guest A debian openssl "$@"; }
by_libica() {
	_command=$1
	shift
	in_software "$_command" -provider ibmca-provider -provider default -propquery "?provider=ibmca-provider" "$@"
}

# used: succeed if the adapter has had a message since the last call.
used() {
	[ "$(machine counters 01.0001 nqap)" -gt 0 ] || return
	machine counters reset
}

echo "a message to sign and to encrypt" >$debian/root/message
for bits in 1024 2048; do
	debian openssl genrsa -quiet -out /root/$bits.private $bits
	debian openssl rsa -in /root/$bits.private -pubout -out /root/$bits.public
done
give_to_vfio_ap 1 ""
load_driver
mdev A
assign A adapter 1 domain 1
# shellcheck disable=SC2086 # several options
linux A group $share_debian
guest_debian A
guest A mount -t tmpfs tmpfs /debian/tmp
machine counters reset
for bits in 1024 2048; do
	in_software pkeyutl -encrypt -pubin -inkey /root/$bits.public -in /root/message -out /tmp/encrypted \
		-pkeyopt rsa_padding_mode:oaep
	! used || fail "the adapter has encrypted"
	for way in itself by_libica; do
		$way dgst -sha256 -sign /root/$bits.private -out /tmp/signature /root/message
		used || fail "the adapter has not signed"
		expect "signature $way, $bits bits" "Verified OK" in_software dgst -sha256 \
			-verify /root/$bits.public -signature /tmp/signature /root/message
		! used || fail "the adapter has verified"
		expect "decrypted message $way, $bits bits" "$(cat $debian/root/message)" $way pkeyutl -decrypt \
			-inkey /root/$bits.private -in /tmp/encrypted -pkeyopt rsa_padding_mode:oaep
		used || fail "the adapter has not decrypted"
	done
done
