#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Texts in messages: quoting what a file says, and guessing what was meant.
namespace holdfast::config {

/// Control characters become '?', so that a terminal and a log get what they should.
std::string without_controls(std::string_view text);
/// The text as it is safe in a message: without control characters, and cut when it is long.
std::string printable(std::string_view text);
/// The same in single quotes.
std::string quote(std::string_view text);

/// The candidate nearest to a misspelt word (letters changed, added, left out or swapped, in either case);
/// empty when none is near enough to be worth a question.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

/// Parts between single separators; "" has one empty part.
std::vector<std::string_view> split(std::string_view text, char separator);

std::string_view trim(std::string_view text);

}  // namespace holdfast::config
