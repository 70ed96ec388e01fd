// The page heap's trees: treaps of free extents (Seidel and Aragon 1996), ordered by length and then by address.
#include "page_heap.hpp"

namespace bufpool {

namespace {

// A hash of the address, so that the tree's shape does not depend on the order of insertions.
std::uint32_t priority(std::uint32_t id) noexcept {
    id *= 0x9E3779B1u;
    id ^= id >> 15;
    return id * 0x85EBCA77u;
}

}  // namespace

void PageHeap::insert(std::uint32_t& root, std::uint32_t id) noexcept {
    std::uint32_t* at = &root;
    while (*at != kNil && priority(*at) >= priority(id)) at = before(id, *at) ? &row(*at).left : &row(*at).right;
    std::uint32_t rest = *at;
    *at = id;
    std::uint32_t* less = &row(id).left;
    std::uint32_t* more = &row(id).right;
    while (rest != kNil) {
        if (before(rest, id)) {
            *less = rest;
            less = &row(rest).right;
            rest = *less;
        } else {
            *more = rest;
            more = &row(rest).left;
            rest = *more;
        }
    }
    *less = *more = kNil;
}

void PageHeap::erase(std::uint32_t& root, std::uint32_t id) noexcept {
    std::uint32_t* at = &root;
    while (*at != id) at = before(id, *at) ? &row(*at).left : &row(*at).right;
    std::uint32_t left = row(id).left, right = row(id).right;
    while (left != kNil && right != kNil) {
        if (priority(left) >= priority(right)) {
            *at = left;
            at = &row(left).right;
            left = *at;
        } else {
            *at = right;
            at = &row(right).left;
            right = *at;
        }
    }
    *at = left != kNil ? left : right;
}

// The smallest extent of at least so many granules; of several the one at the lowest address.
std::uint32_t PageHeap::at_least(std::uint32_t root, std::uint32_t length) const noexcept {
    std::uint32_t best = kNil;
    while (root != kNil) {
        if (row(root).length >= length) {
            best = root;
            root = row(root).left;
        } else {
            root = row(root).right;
        }
    }
    return best;
}

}  // namespace bufpool
