# SPDX-License-Identifier: GPL-2.0
# The driver's core decides about more queues than this machine has.
# count: instructions
. /scenarios/measure.sh

if_rust apcore
