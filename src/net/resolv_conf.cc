#include "net/resolv_conf.h"

#include <boost/asio/ip/address.hpp>
#include <fstream>
#include <sstream>

namespace redoubt::net {

namespace {

// The file is a page of text; more is not one.
constexpr size_t kMaxFileBytes = 64 * 1024;

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> out;
  while (true) {
    size_t from = line.find_first_not_of(" \t\r");
    if (from == std::string_view::npos) return out;
    size_t to = line.find_first_of(" \t\r", from);
    out.emplace_back(line.substr(from, to == std::string_view::npos ? to : to - from));
    if (to == std::string_view::npos) return out;
    line.remove_prefix(to);
  }
}

}  // namespace

ResolvConf parse_resolv_conf(std::string_view text) {
  ResolvConf out;
  while (!text.empty()) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.starts_with('#') || line.starts_with(';')) continue;
    std::vector<std::string> words = words_of(line);
    if (words.size() < 2) continue;
    if (words[0] == "nameserver") {
      boost::system::error_code error;
      auto address = boost::asio::ip::make_address(words[1], error);
      if (!error && std::ranges::find(out.nameservers, address.to_string()) == out.nameservers.end())
        out.nameservers.push_back(address.to_string());
    } else if (words[0] == "search" || words[0] == "domain") {
      // The last of them counts.
      out.searches.assign(words.begin() + 1, words[0] == "domain" ? words.begin() + 2 : words.end());
      std::erase(out.searches, ".");
    } else if (words[0] == "options") {
      out.options.insert(out.options.end(), words.begin() + 1, words.end());
    }
  }
  return out;
}

ResolvConf read_resolv_conf(const std::string& path) {
  std::ifstream file(path);
  std::string text(kMaxFileBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return parse_resolv_conf(text);
}

}  // namespace redoubt::net
