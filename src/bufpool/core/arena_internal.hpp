// L3 · What the arena's source files share and nobody above may use.
#pragma once

#include "arena.hpp"
#include "page_map.hpp"

namespace bufpool {

extern PageMap g_pages;

}  // namespace bufpool
