// SPDX-License-Identifier: GPL-2.0
#include <linux/io.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>

#include "helpers.h"

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

/* KVM's own function for that is there for the C driver only, where that is built. */
bool vfio_ap_is_memory(struct kvm *kvm, u64 address)
{
	return __gfn_to_memslot(kvm_memslots(kvm), gpa_to_gfn(address));
}
