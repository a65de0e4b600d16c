// SPDX-License-Identifier: GPL-2.0
/*
 * Offsets and sizes as the C compiler has them, for bindings.rs to compare with
 * those of bindgen. This is compiled to assembly, and never linked.
 */
#include <linux/kbuild.h>
#include <linux/kvm_host.h>
#include <linux/mdev.h>
#include <linux/vfio.h>
#include <asm/ap.h>
#include <asm/debug.h>
#include "ap_bus.h"

#define SIZE(sym, str) DEFINE(sym, sizeof(struct str))

int main(void)
{
	SIZE(AP_CONFIG_INFO, ap_config_info);
	OFFSET(AP_CONFIG_INFO_APM, ap_config_info, apm);
	OFFSET(AP_DEVICE_DEVICE, ap_device, device);
	SIZE(AP_DEVICE_ID, ap_device_id);
	SIZE(AP_DRIVER, ap_driver);
	OFFSET(AP_DRIVER_DRIVER, ap_driver, driver);
	OFFSET(AP_DRIVER_IDS, ap_driver, ids);
	OFFSET(AP_DRIVER_ON_SCAN_COMPLETE, ap_driver, on_scan_complete);
	OFFSET(AP_QUEUE_AP_DEV, ap_queue, ap_dev);
	OFFSET(AP_QUEUE_QID, ap_queue, qid);

	OFFSET(DEBUG_INFO_LEVEL, debug_info, level);

	OFFSET(KVM_GISA_ORIGIN, kvm, arch.gisa_int.origin);
	OFFSET(KVM_LOCK, kvm, lock);
	OFFSET(KVM_PQAP_HOOK, kvm, arch.crypto.pqap_hook);
	OFFSET(KVM_PQAP_HOOK_RWSEM, kvm, arch.crypto.pqap_hook_rwsem);
	OFFSET(KVM_RUN_GPRS, kvm_run, s.regs.gprs);
	OFFSET(KVM_SIE_BLOCK_ECA, kvm_s390_sie_block, eca);
	OFFSET(KVM_VCPU_KVM, kvm_vcpu, kvm);
	OFFSET(KVM_VCPU_RUN, kvm_vcpu, run);
	OFFSET(KVM_VCPU_SIE_BLOCK, kvm_vcpu, arch.sie_block);

	OFFSET(MDEV_DEVICE_DEV, mdev_device, dev);
	SIZE(MDEV_DRIVER, mdev_driver);
	OFFSET(MDEV_DRIVER_DRIVER, mdev_driver, driver);
	OFFSET(MDEV_DRIVER_PROBE, mdev_driver, probe);
	SIZE(MDEV_PARENT, mdev_parent);
	SIZE(MDEV_TYPE, mdev_type);
	OFFSET(MDEV_TYPE_KOBJ, mdev_type, kobj);

	SIZE(VFIO_DEVICE, vfio_device);
	OFFSET(VFIO_DEVICE_DEV, vfio_device, dev);
	OFFSET(VFIO_DEVICE_DEVICE, vfio_device, device);
	OFFSET(VFIO_DEVICE_KVM, vfio_device, kvm);
	OFFSET(VFIO_DEVICE_OPS, vfio_device, ops);
	SIZE(VFIO_DEVICE_OPERATIONS, vfio_device_ops);
	OFFSET(VFIO_DEVICE_OPERATIONS_REQUEST, vfio_device_ops, request);
	return 0;
}
