# SPDX-License-Identifier: GPL-2.0
# apmap --watch draws again after each event, and learns of events from the kernel alone.

# drawn TEXT: wait until apmap has written a line that has it.
drawn() {
	while IFS= read -r -t 60 _line <&7; do
		case $_line in *"$1"*)
			echo "ok: drawn: $1"
			return
			;;
		esac
	done
	fail "apmap has not drawn: $1"
}

give_to_vfio_ap "1 2 3" ""
load_driver
mkfifo /run/drawn
# The interval is longer than the scenario may take.
apmap --watch --interval 3600 --json >/run/drawn &
apmap=$!
exec 7</run/drawn
drawn '"queue":"01.0001","adapter":1,"domain":1,"state":"free"'
unbind 01.0001
drawn '"queue":"01.0001","adapter":1,"domain":1,"state":"unbound"'
machine "apm - 2"
scan
drawn '"host_configuration":{"adapters":[0,1,3]'
mdev A
drawn "$(uuid A)"
machine adapter 3 state deconfigured
scan
drawn '"adapter":3,"type":"CEX7C","configured":false'
kill $apmap
