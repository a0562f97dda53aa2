#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace holdfast {

/// A first-in first-out queue that owns no memory while it was never used, and little afterwards. (An empty
/// std::deque allocates half a kilobyte, which thousands of idle sessions can't afford.)
template <typename T>
class Ring {
public:
    bool empty() const { return size_ == 0; }
    size_t size() const { return size_; }
    T& front() {
        assert(size_ > 0);
        return slots_[head_];
    }
    T& back() {
        assert(size_ > 0);
        return at(size_ - 1);
    }
    const T& back() const { return const_cast<Ring*>(this)->back(); }
    T& at(size_t i) {
        assert(i < size_);
        return slots_[(head_ + i) & (capacity_ - 1)];
    }
    const T& at(size_t i) const { return const_cast<Ring*>(this)->at(i); }
    T& push(T value) {
        if (size_ == capacity_) grow();
        T& slot = slots_[(head_ + size_) & (capacity_ - 1)];
        slot = std::move(value);
        ++size_;
        return slot;
    }
    void pop() {
        assert(size_ > 0);
        slots_[head_] = T{};
        head_ = (head_ + 1) & (capacity_ - 1);
        --size_;
    }
    /// Takes the element at `i` out, keeping the order of the others.
    void erase(size_t i) {
        for (; i + 1 < size_; ++i) at(i) = std::move(at(i + 1));
        at(size_ - 1) = T{};
        --size_;
    }
    void clear() {
        while (size_ > 0) pop();
    }
    /// Gives back memory beyond a handful of elements; for when the owner falls idle.
    void trim() {
        if (size_ == 0 && capacity_ > kept_capacity) {
            slots_.reset();
            capacity_ = 0;
            head_ = 0;
        }
    }

private:
    static constexpr uint32_t kept_capacity = 16;
    void grow() {
        const uint32_t wider = capacity_ == 0 ? 4 : capacity_ * 2;
        auto slots = std::make_unique<T[]>(wider);
        for (uint32_t i = 0; i < size_; ++i) slots[i] = std::move(at(i));
        slots_ = std::move(slots);
        capacity_ = wider;
        head_ = 0;
    }
    std::unique_ptr<T[]> slots_;
    uint32_t capacity_ = 0;  // a power of two, or 0
    uint32_t head_ = 0;
    uint32_t size_ = 0;
};

}  // namespace holdfast
