#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <openssl/crypto.h>

namespace holdfast {

/// A text that must not be seen: wiped when it dies, and without any operator that would print it.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string text) : text_(std::move(text)) {}
    Secret(const Secret&) = default;
    Secret(Secret&& other) noexcept : text_(std::move(other.text_)) { other.wipe(); }
    Secret& operator=(const Secret& other) {
        if (this != &other) {
            wipe();
            text_ = other.text_;
        }
        return *this;
    }
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            wipe();
            text_ = std::move(other.text_);
            other.wipe();
        }
        return *this;
    }
    ~Secret() { wipe(); }

    bool empty() const { return text_.empty(); }
    /// The text itself, for the code that needs it; a view that lives as long as this object is unchanged.
    std::string_view reveal() const { return text_; }
    bool operator==(const Secret& other) const {
        return text_.size() == other.text_.size() &&
               CRYPTO_memcmp(text_.data(), other.text_.data(), text_.size()) == 0;
    }

private:
    void wipe() {
        // The whole capacity: a short string's bytes may linger past its end.
        if (text_.capacity() > 0) {
            text_.resize(text_.capacity());
            OPENSSL_cleanse(text_.data(), text_.size());
            text_.clear();
        }
    }
    std::string text_;
};

}  // namespace holdfast
