#pragma once

#include <cstdint>
#include <utility>

namespace holdfast {

/// Base of objects that are counted by the Refs to them. Not atomic: everything that shares one lives on the
/// event loop's thread.
class Counted {
public:
    Counted() = default;
    Counted(const Counted&) {}  // a copy is a new object that nobody holds yet
    Counted& operator=(const Counted&) { return *this; }
    uint32_t use_count() const { return count_; }

private:
    template <typename T>
    friend class Ref;
    mutable uint32_t count_ = 0;
};

/// A shared owner of a Counted object; one pointer large.
template <typename T>
class Ref {
public:
    Ref() = default;
    explicit Ref(T* object) : object_(object) { retain(); }
    Ref(const Ref& other) : object_(other.object_) { retain(); }
    Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Ref& operator=(Ref other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Ref() {
        if (object_ && --object_->count_ == 0) delete object_;
    }
    T* get() const { return object_; }
    T* operator->() const { return object_; }
    T& operator*() const { return *object_; }
    explicit operator bool() const { return object_ != nullptr; }
    bool operator==(const Ref& other) const { return object_ == other.object_; }

private:
    void retain() {
        if (object_) ++object_->count_;
    }
    T* object_ = nullptr;
};

}  // namespace holdfast
