// SPDX-License-Identifier: GPL-2.0-or-later
// The only loads and stores of user space that need an order with those of the kernel (docs/ring.md, table of
// barriers). The pages are written by the other side at any time, so every access goes through here, once.
#pragma once

#include <linux/dm_remotecopy.h>

#include <cstdint>
#include <cstring>

namespace rc::io::ring {

// A (with the kernel's smp_store_release of seq at commit): when seq is the expected one, all other fields of
// the record and its data are there.
inline std::uint64_t load_seq(const dmrc_record* slot) {
  return __atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE);
}

// B (with the kernel's smp_load_acquire of freed): all reading of the records up to freed is over.
inline void store_freed(dmrc_consumer_page* page, std::uint64_t freed) {
  __atomic_store_n(&page->freed, freed, __ATOMIC_RELEASE);
}

inline void store_read(dmrc_consumer_page* page, std::uint64_t read) {
  __atomic_store_n(&page->read, read, __ATOMIC_RELEASE);
}

// C (with the kernel's full barrier between commit and its look at need_wakeup): the wish is visible before
// the ring is looked at once more; one of the two sides sees the other.
inline void store_wish(dmrc_consumer_page* page, bool wanted, std::uint32_t records) {
  __atomic_store_n(&page->wake_records, records, __ATOMIC_RELAXED);
  __atomic_store_n(&page->need_wakeup, wanted ? 1u : 0u, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

inline std::uint64_t load_reserved(const dmrc_info_page* page) {
  return __atomic_load_n(&page->reserved, __ATOMIC_ACQUIRE);
}

} // namespace rc::io::ring
