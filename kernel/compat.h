// SPDX-License-Identifier: GPL-2.0-or-later
// What changed in the kernel's interfaces after 6.1.
#pragma once

#include <linux/blkdev.h>
#include <linux/timer.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define timer_delete_sync del_timer_sync
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
#define timer_container_of(var, timer, field) from_timer(var, timer, field)
#endif

// The mode of a table that may be written to.
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#define DMR_TABLE_WRITE FMODE_WRITE
#else
#define DMR_TABLE_WRITE BLK_OPEN_WRITE
#endif
