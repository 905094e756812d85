// What the machine has.
#pragma once
#include <unistd.h>

#include <cstddef>

namespace gan {

// Bytes of its memory; 0: unknown.
inline size_t machine_memory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? size_t(pages) * size_t(page) : 0;
}

}  // namespace gan
