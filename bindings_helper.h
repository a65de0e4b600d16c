/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The headers that bindings are made from; see bindgen_parameters for what is
 * taken out of them.
 */
#include <linux/anon_inodes.h>
#include <linux/hrtimer_types.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/device.h>
#include <linux/mod_devicetable.h>
#include <linux/eventfd.h>
#include <linux/kvm_host.h>
#include <linux/mdev.h>
#include <linux/vfio.h>
#include <asm/ap.h>
#include <asm/debug.h>
#include <asm/uv.h>
#include "ap_bus.h"
#include "helpers.h"
