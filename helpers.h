/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Macros and inline functions of C that are needed in Rust.
 */
#ifndef VFIO_AP_RS_HELPERS_H
#define VFIO_AP_RS_HELPERS_H

#include <linux/types.h>

struct ap_config_info;
struct kvm;
struct page;

phys_addr_t vfio_ap_page_to_phys(struct page *page);
phys_addr_t vfio_ap_virt_to_phys(void *address);
bool vfio_ap_try_hold_page(struct page *page);
void vfio_ap_release_page(struct page *page);
bool vfio_ap_is_memory(struct kvm *kvm, u64 address);

bool vfio_ap_instructions_available(void);
u32 vfio_ap_tapq(u32 qid);
u32 vfio_ap_tapq_info(u32 qid, u64 *info);
u32 vfio_ap_zapq(u32 qid);
u32 vfio_ap_aqic(u32 qid, u64 control, phys_addr_t indicator);
int vfio_ap_qci(struct ap_config_info *info);

bool vfio_ap_guest_messages(void);
bool vfio_ap_migration_messages(void);

void vfio_ap_trace_guest(const char *mdev, const char *cause, int adapter, int domain,
			  const u64 *apm, const u64 *aqm, const u64 *adm);
void vfio_ap_trace_reset_end(u16 qid, u8 code);
void vfio_ap_trace_aqic(u16 qid, u8 code);

#endif
