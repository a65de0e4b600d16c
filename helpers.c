// SPDX-License-Identifier: GPL-2.0
#include <linux/io.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/ratelimit.h>
#include <asm/ap.h>
#include <asm/facility.h>

#include "helpers.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* The macro module! of the kernel crate has no word for it. */
MODULE_VERSION(VFIO_AP_VERSION);

phys_addr_t vfio_ap_page_to_phys(struct page *page)
{
	return page_to_phys(page);
}

phys_addr_t vfio_ap_virt_to_phys(void *address)
{
	return virt_to_phys(address);
}

bool vfio_ap_try_hold_page(struct page *page)
{
	return folio_try_get(page_folio(page));
}

void vfio_ap_release_page(struct page *page)
{
	folio_put(page_folio(page));
}

bool vfio_ap_instructions_available(void)
{
	return ap_instructions_available();
}

/* Older kernels do not name the word. */
static u32 status_word(struct ap_queue_status status)
{
	u32 word;

	BUILD_BUG_ON(sizeof(status) != sizeof(word));
	memcpy(&word, &status, sizeof(word));
	return word;
}

u32 vfio_ap_tapq(u32 qid)
{
	return status_word(ap_tapq(qid, NULL));
}

u32 vfio_ap_tapq_info(u32 qid, u64 *info)
{
	struct ap_tapq_hwinfo hwinfo;
	struct ap_queue_status status;

	/* Facility 15 (APFT) is the T bit of TAPQ. */
	status = ap_test_queue(qid, test_facility(15), &hwinfo);
	*info = hwinfo.value;
	return status_word(status);
}

u32 vfio_ap_zapq(u32 qid)
{
	struct ap_queue_status status = ap_zapq(qid, 0);

	trace_vfio_ap_zapq(qid, status.response_code);
	return status_word(status);
}

u32 vfio_ap_aqic(u32 qid, u64 control, phys_addr_t indicator)
{
	union ap_qirq_ctrl qirqctrl = { .value = control };

	return status_word(ap_aqic(qid, qirqctrl, indicator));
}

int vfio_ap_qci(struct ap_config_info *info)
{
	return ap_qci(info);
}

/* kvm_s390_is_gpa_in_memslot() exists only in kernels that are built with the C driver. */
bool vfio_ap_is_memory(struct kvm *kvm, u64 address)
{
	return __gfn_to_memslot(kvm_memslots(kvm), gpa_to_gfn(address));
}

/* The message that counts suppressed messages has the name of the function. */
bool vfio_ap_guest_messages(void)
{
	static DEFINE_RATELIMIT_STATE(limit, 5 * HZ, 10);

	return __ratelimit(&limit);
}

bool vfio_ap_migration_messages(void)
{
	static DEFINE_RATELIMIT_STATE(limit, 60 * HZ, 20);

	return __ratelimit(&limit);
}

void vfio_ap_trace_guest(const char *mdev, const char *cause, int adapter, int domain,
			  const u64 *apm, const u64 *aqm, const u64 *adm)
{
	trace_vfio_ap_guest(mdev, cause, adapter, domain, apm, aqm, adm);
}

void vfio_ap_trace_reset_end(u16 qid, u8 code)
{
	trace_vfio_ap_reset_end(qid, code);
}

void vfio_ap_trace_aqic(u16 qid, u8 code)
{
	trace_vfio_ap_aqic(qid, code);
}
