/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between the kernels we build for (6.1 and later); nothing else in the module asks for a version. */
#ifndef DM_RC_COMPAT_H
#define DM_RC_COMPAT_H

#include <linux/mm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define vm_flags_set(vma, flags)	((vma)->vm_flags |= (flags))
#define vm_flags_clear(vma, flags)	((vma)->vm_flags &= ~(flags))
#endif

#endif
