#pragma once

#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <span>
#include <utility>

#include "protocol/base/bytes.h"

namespace holdfast::loop {

/// Bytes in order, taken from the front and added at the end, in one contiguous run. Costs one pointer while
/// empty (its memory is freed then), because every idle connection carries two of these.
class ByteQueue {
public:
    ByteQueue() = default;
    ByteQueue(const ByteQueue&) = delete;
    ByteQueue& operator=(const ByteQueue&) = delete;
    ByteQueue(ByteQueue&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
    ByteQueue& operator=(ByteQueue&& other) noexcept {
        if (this != &other) {
            clear();
            block_ = std::exchange(other.block_, nullptr);
        }
        return *this;
    }
    ~ByteQueue() { clear(); }

    bool empty() const { return block_ == nullptr || block_->begin == block_->end; }
    size_t size() const { return block_ == nullptr ? 0 : block_->end - block_->begin; }
    /// The whole content; valid until the next change.
    Bytes bytes() const { return block_ == nullptr ? Bytes{} : Bytes{data() + block_->begin, size()}; }

    void append(Bytes added) {
        if (added.empty()) return;
        std::memcpy(space(added.size()).data(), added.data(), added.size());
        commit(added.size());
    }
    /// Room for at least `wanted` more bytes behind the content (all of it is given); commit() makes what was
    /// written there part of the content.
    std::span<std::byte> space(size_t wanted) {
        make_room(wanted);
        return {data() + block_->end, block_->capacity - block_->end};
    }
    void commit(size_t added) { block_->end += added; }
    /// Drops `count` bytes (at most size()) from the front; an empty queue's memory is freed.
    void consume(size_t count) {
        if (block_ == nullptr) return;
        block_->begin += count;
        if (block_->begin >= block_->end) clear();
    }
    /// The memory of all queues of the process; they belong to one thread, the event loop's.
    static size_t allocated_bytes() { return allocated_bytes_; }
    void clear() {
        if (block_ != nullptr) allocated_bytes_ -= sizeof(Block) + block_->capacity;
        std::free(block_);
        block_ = nullptr;
    }

private:
    struct Block {
        size_t begin;
        size_t end;
        size_t capacity;
    };
    static constexpr size_t capacity_min =
        4'096 - sizeof(Block) - 2 * sizeof(void*);  // a page with malloc's own

    std::byte* data() const { return reinterpret_cast<std::byte*>(block_ + 1); }

    void make_room(size_t wanted) {
        const size_t used = size();
        if (block_ != nullptr) {
            if (block_->capacity - block_->end >= wanted) return;
            // Moving to the front is worth it when at least as much has been taken as is moved: then each
            // byte is moved once on average.
            if (block_->begin >= used && block_->capacity - used >= wanted) {
                std::memmove(data(), data() + block_->begin, used);
                block_->begin = 0;
                block_->end = used;
                return;
            }
        }
        if (wanted > std::numeric_limits<size_t>::max() / 4 - used) std::abort();
        size_t capacity = capacity_min;
        while (capacity < used + wanted) capacity *= 2;
        auto* grown = static_cast<Block*>(std::malloc(sizeof(Block) + capacity));
        if (grown == nullptr) std::abort();
        if (used > 0) std::memcpy(reinterpret_cast<std::byte*>(grown + 1), bytes().data(), used);
        *grown = Block{0, used, capacity};
        allocated_bytes_ += sizeof(Block) + capacity;
        if (block_ != nullptr) allocated_bytes_ -= sizeof(Block) + block_->capacity;
        std::free(block_);
        block_ = grown;
    }

    inline static size_t allocated_bytes_ = 0;
    Block* block_ = nullptr;
};

static_assert(sizeof(ByteQueue) == sizeof(void*));

}  // namespace holdfast::loop
