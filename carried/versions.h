/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Names of Linux 7.3 that the crates use, and that older kernels do not have. Bindings and helpers
 * include this header as the last one. The module does not call functions that are only declared,
 * because the linker drops their callers.
 */
#ifndef VFIO_AP_RS_VERSIONS_H
#define VFIO_AP_RS_VERSIONS_H

#include <linux/bitmap.h>
#include <linux/blk-mq.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/property.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/timer.h>
#include <linux/version.h>
#include <linux/vmalloc.h>

/* Only a kernel with CONFIG_RUST declares this function. */
char *rust_fmt_argument(char *buffer, char *end, const void *arguments);

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)

#ifndef EFTYPE
#define EFTYPE			134
#endif

typedef struct callback_head	kvfree_rcu_head;

/* Private to the driver core, and not used. The layout is compared, so it has to be right. */
struct devres_node {
	struct list_head entry;
	void (*release)(struct device *dev, void *data);
	const char *name;
	size_t size;
};

typedef void (*dr_node_release_t)(struct device *dev, struct devres_node *node);
typedef void (*dr_node_free_t)(struct devres_node *node);

void devres_node_init(struct devres_node *node, dr_node_release_t release, dr_node_free_t free);
void devres_node_add(struct device *dev, struct devres_node *node);
bool devres_node_remove(struct device *dev, struct devres_node *node);
void devres_set_node_dbginfo(struct devres_node *node, const char *name, size_t size);

void local_interrupt_disable(void);
void local_interrupt_enable(void);
void spin_lock_irq_disable(spinlock_t *lock);
void spin_unlock_irq_enable(spinlock_t *lock);
int spin_trylock_irq_disable(spinlock_t *lock);

int __init_srcu_struct(struct srcu_struct *srcu, const char *name, struct lock_class_key *key);
bool srcu_readers_active(struct srcu_struct *srcu);
void zap_vma_range(struct vm_area_struct *vma, unsigned long address, unsigned long size);

#endif /* before 7.3 */

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)

#define EFSBADCRC		EBADMSG
#define EFSCORRUPTED		EUCLEAN
#define DMA_ATTR_MMIO		(1UL << 10)

/* Defines the helpers for copies from and to users. */
#define INLINE_COPY_USER

/* These functions ignore the node and the alignment, which follows from the size. */
#define krealloc_node_align(p, size, align, flags, node)	krealloc(p, size, flags)
#define kvrealloc_node_align(p, size, align, flags, node)	kvrealloc(p, size, flags)
#define vrealloc_node_align(p, size, align, flags, node)	vrealloc(p, size, flags)

void hrtimer_setup(struct hrtimer *timer, enum hrtimer_restart (*function)(struct hrtimer *timer),
		   clockid_t clock, enum hrtimer_mode mode);

#ifdef RUST_HELPERS

/* No file of the module has `aux`. */
__rust_helper struct dentry *
rust_helper_debugfs_create_file_full(const char *name, umode_t mode, struct dentry *parent,
				     void *data, const void *aux,
				     const struct file_operations *operations)
{
	return debugfs_create_file(name, mode, parent, data, operations);
}

__rust_helper void rust_helper_timer_init_key(struct timer_list *timer,
					      void (*function)(struct timer_list *timer),
					      unsigned int flags, const char *name,
					      struct lock_class_key *key)
{
	init_timer_key(timer, function, flags, name, key);
}

__rust_helper bool rust_helper_fwnode_property_read_bool(const struct fwnode_handle *node,
							 const char *name)
{
	return fwnode_property_read_bool(node, name);
}

#endif

/* For mdev. */
#ifndef kzalloc_obj
#define kzalloc_obj(object)				kzalloc(sizeof(object), GFP_KERNEL)
#endif
#define class_compat_create_link(class, device)		class_compat_create_link(class, device, NULL)
#define class_compat_remove_link(class, device)		class_compat_remove_link(class, device, NULL)

#endif /* before 7.0 */

#endif
