#include "config/places.h"

#include <algorithm>

namespace holdfast::config {

std::vector<Server> keep_places(const std::vector<Server>& before, const std::vector<Server>& wanted,
                                const std::function<bool(size_t place)>& is_free) {
    std::vector<Server> places = before;
    std::vector<bool> is_taken(places.size());
    std::vector<const Server*> added;
    for (const Server& server : wanted) {
        // A place that was given up is taken up again by the same server.
        const auto at = std::find(places.begin(), places.end(), server);
        if (at == places.end()) {
            added.push_back(&server);
            continue;
        }
        *at = server;
        is_taken[static_cast<size_t>(at - places.begin())] = true;
    }
    for (size_t i = 0; i < places.size(); ++i) {
        if (is_taken[i]) continue;
        const bool was_removed = places[i].is_removed;
        places[i].is_removed = true;
        if (!was_removed || added.empty() || !is_free(i)) continue;
        places[i] = *added.front();
        added.erase(added.begin());
    }
    for (const Server* server : added) places.push_back(*server);
    return places;
}

}  // namespace holdfast::config
