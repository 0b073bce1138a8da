// Writing JSON text by hand where a schema would be too much: strings with the escapes that RFC 8259 asks for.
#pragma once
#include <string>
#include <string_view>

namespace redoubt {

// Appends `text` as a quoted JSON string. Control characters, quotes and backslashes are escaped; bytes that are no
// valid UTF-8 become U+FFFD, so that the output is always valid JSON. '<', '>' and '&' stay as they are.
void append_json_string(std::string& out, std::string_view text);

}  // namespace redoubt
