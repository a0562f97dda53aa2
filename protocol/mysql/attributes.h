#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "protocol/mysql/packets.h"

/// Query attributes: values with names that a client sends along with a statement. Once both sides have
/// agreed on them, every COM_QUERY has some in front of its text, if only to say that there are none, and
/// executions give their parameters names.
///
/// spec    MySQL Source Documentation, "COM_QUERY", "COM_STMT_EXECUTE", "Binary Protocol Value"
namespace holdfast::mysql {

/// What says that a COM_QUERY has no attributes: none of them, in one set.
inline constexpr std::string_view no_attributes{"\x00\x01", 2};

/// The flag of COM_STMT_EXECUTE that says that the number of its parameters is told.
inline constexpr uint8_t parameters_are_counted = 0x08;

/// The text of a COM_QUERY, behind its attributes.
/// in      the payload behind the command, or its beginning
/// nullopt: the attributes reach beyond `in`, or are such that servers refuse them or may read them otherwise
std::optional<std::string_view> text_behind_attributes(Bytes in);

/// How many bytes the types of `count` parameters take at the front of `in`, with a name behind each.
/// nullopt: they reach beyond it.
std::optional<size_t> named_types_bytes(Bytes in, size_t count);

}  // namespace holdfast::mysql
