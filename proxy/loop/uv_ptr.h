#pragma once

#include <memory>

#include <uv.h>

namespace holdfast::loop {

/// Owns a handle: `State` derives from the libuv type `Uv` and adds what its callbacks need. The deleter
/// clears `data` and closes the handle; libuv's close callback, at the end of the turn, frees the memory. So
/// the owner may go at any moment, also inside a callback of the handle, and what the callback stands on (its
/// std::function) lives until the turn ends. Wrap a handle after uv_*_init succeeded, never before.
template <typename State, typename Uv>
struct UvCloser {
    void operator()(State* state) const {
        Uv* handle = state;
        handle->data = nullptr;
        uv_close(reinterpret_cast<uv_handle_t*>(handle),
                 [](uv_handle_t* closed) { delete static_cast<State*>(reinterpret_cast<Uv*>(closed)); });
    }
};

template <typename State, typename Uv>
using UvPtr = std::unique_ptr<State, UvCloser<State, Uv>>;

}  // namespace holdfast::loop
