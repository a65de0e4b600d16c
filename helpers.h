/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is a macro or an inline function in C, and is needed in Rust.
 */
#ifndef VFIO_AP_RS_HELPERS_H
#define VFIO_AP_RS_HELPERS_H

#include <linux/types.h>

struct kvm;
struct page;

phys_addr_t vfio_ap_page_to_phys(struct page *page);
phys_addr_t vfio_ap_virt_to_phys(void *address);
bool vfio_ap_try_hold_page(struct page *page);
void vfio_ap_release_page(struct page *page);
bool vfio_ap_is_memory(struct kvm *kvm, u64 address);

#endif
