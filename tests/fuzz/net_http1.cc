// HTTP/1.1 requests as a server reads them: whatever comes, no crash, and what is accepted can't be read in two ways.
#include <cstdlib>
#include <string_view>

#include "net/http1.h"

using namespace redoubt::net;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  // As read_head() hands it over: up to the blank line, with the last line's end.
  std::string head(text.substr(0, text.find("\r\n\r\n")));
  head += "\r\n";
  auto request = parse_http1_request(head);
  if (request) {
    for (const auto& [name, value] : request->headers) {
      if (name.empty() || value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) std::abort();
    }
    std::optional<uint64_t> length;
    auto framing = body_framing(request->headers, false, length);
    if (framing && *framing == BodyFraming::Chunked && request->headers.has("content-length")) std::abort();
    (void)parse_query(request->query);
    (void)percent_decode(request->path);
  }
  return 0;
}
