# SPDX-License-Identifier: GPL-2.0
# Decisions of the driver's core about more queues than this machine has.
# count: instructions
. /scenarios/measure.sh

if_rust apcore
