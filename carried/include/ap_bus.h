/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The declarations of the AP bus that the module uses. No headers package contains the header of
 * the bus. prepare.sh makes the included file.
 */
#ifndef VFIO_AP_RS_AP_BUS_H
#define VFIO_AP_RS_AP_BUS_H

#include <linux/device.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/types.h>
#include <asm/ap.h>

struct ap_card;
struct ap_message;
#include "ap_bus_types.h"

extern struct ap_perms ap_perms;
#ifdef AP_PERMS_MUTEX
/* Before 7.0 it has another name. */
extern struct mutex ap_attr_mutex __asm__("ap_perms_mutex");
#else
extern struct mutex ap_attr_mutex;
#endif

int ap_driver_register(struct ap_driver *driver, struct module *owner, char *name);
void ap_driver_unregister(struct ap_driver *driver);
int ap_owned_by_def_drv(int adapter, int domain);

#endif
