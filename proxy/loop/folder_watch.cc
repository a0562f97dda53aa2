#include "proxy/loop/folder_watch.h"

#include <utility>

#include "proxy/loop/loop.h"
#include "proxy/loop/timer.h"
#include "proxy/loop/uv_ptr.h"

namespace holdfast::loop {
namespace {

struct FolderState : uv_fs_event_t {
    std::function<void(std::string_view)> on_change;
};

void on_event(uv_fs_event_t* handle, const char* name, int, int) {
    // libuv may still call for a handle that another one's callback has closed.
    if (uv_is_closing(reinterpret_cast<uv_handle_t*>(handle)) != 0) return;
    Loop::of(handle->loop).tick();
    const auto on_change = static_cast<FolderState*>(handle)->on_change;
    on_change(name != nullptr ? name : "");
}

}  // namespace

Result<std::unique_ptr<health::Watch>> watch_folder(Loop& loop, const std::string& folder,
                                                    std::function<void(std::string_view name)> on_change) {
    using Handle = UvPtr<FolderState, uv_fs_event_t>;
    const auto failed = [&](int error) {
        return Error{ErrorCode::internal, "can't watch " + folder + ": " + uv_strerror(error)};
    };
    auto state = std::make_unique<FolderState>();
    if (const int error = uv_fs_event_init(loop.uv(), state.get()); error != 0) return failed(error);
    Handle handle{state.release()};
    handle->on_change = std::move(on_change);
    if (const int error = uv_fs_event_start(handle.get(), on_event, folder.c_str(), 0); error != 0) {
        return failed(error);
    }
    return std::unique_ptr<health::Watch>(std::make_unique<Held<health::Watch, Handle>>(std::move(handle)));
}

}  // namespace holdfast::loop
