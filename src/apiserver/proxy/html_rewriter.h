// Links in a backend's HTML, led back through the proxy while the page streams by: attributes that hold URLs (href,
// src, action, ...) of the elements that upstream's proxy knows. Text, comments, scripts and styles stay as they are.
//
// Holds back at most one tag, up to kMaxTagBytes; a longer one passes unchanged.
#pragma once
#include <functional>
#include <string>
#include <string_view>

namespace redoubt::apiserver {

class HtmlRewriter {
 public:
  static constexpr size_t kMaxTagBytes = 64 * 1024;
  explicit HtmlRewriter(std::function<std::string(std::string_view)> link) : link_(std::move(link)) {}
  // Takes a piece of the page; gives what is ready.
  std::string feed(std::string_view piece);
  // What was held back, at the end of the page.
  std::string finish();

 private:
  bool step(std::string& out);
  std::string rewrite_tag(std::string_view tag, std::string& name) const;

  std::function<std::string(std::string_view)> link_;
  std::string held_;
  std::string raw_until_;  // the element whose text is being passed: "script"
  bool comment_ = false;
  bool broken_ = false;  // a tag too long: everything passes from here
};

}  // namespace redoubt::apiserver
