#include "apiserver/proxy/html_rewriter.h"

#include <algorithm>
#include <map>
#include <set>

namespace redoubt::apiserver {

namespace {

// The elements and attributes of HTML that hold URLs (https://html.spec.whatwg.org/multipage/indices.html).
const std::map<std::string_view, std::set<std::string_view>>& url_attributes() {
  static const std::map<std::string_view, std::set<std::string_view>> all = {
      {"a", {"href"}},
      {"applet", {"codebase"}},
      {"area", {"href"}},
      {"audio", {"src"}},
      {"base", {"href"}},
      {"blockquote", {"cite"}},
      {"body", {"background"}},
      {"button", {"formaction"}},
      {"command", {"icon"}},
      {"del", {"cite"}},
      {"embed", {"src"}},
      {"form", {"action"}},
      {"frame", {"longdesc", "src"}},
      {"head", {"profile"}},
      {"html", {"manifest"}},
      {"iframe", {"longdesc", "src"}},
      {"img", {"longdesc", "src", "usemap"}},
      {"input", {"formaction", "src", "usemap"}},
      {"ins", {"cite"}},
      {"link", {"href"}},
      {"object", {"classid", "codebase", "data", "usemap"}},
      {"q", {"cite"}},
      {"script", {"src"}},
      {"source", {"src"}},
      {"video", {"poster", "src"}},
  };
  return all;
}

bool raw_text(std::string_view name) {
  return name == "script" || name == "style" || name == "textarea" || name == "title" || name == "xmp" ||
         name == "iframe" || name == "noembed" || name == "noframes";
}

bool blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

// Where a tag that begins at 0 ends (behind its '>'), quotes minded; npos when not yet.
size_t tag_end(std::string_view text) {
  char quote = 0;
  bool value = false;  // a quote only opens a value behind '='
  for (size_t i = 1; i < text.size(); ++i) {
    char c = text[i];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if ((c == '"' || c == '\'') && value) {
      quote = c;
      value = false;
    } else if (c == '>') {
      return i + 1;
    } else if (c == '=') {
      value = true;
    } else if (!blank(c)) {
      value = false;
    }
  }
  return std::string_view::npos;
}

// Characters that end a quoted or bare value must not come out of a link.
std::string quoted(std::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == '"') {
      out += "&#34;";
    } else if (c == '\'') {
      out += "&#39;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string HtmlRewriter::rewrite_tag(std::string_view tag, std::string& name) const {
  size_t at = 1;
  while (at < tag.size() && !blank(tag[at]) && tag[at] != '>' && tag[at] != '/') ++at;
  name = lower(tag.substr(1, at - 1));
  auto known = url_attributes().find(name);
  if (known == url_attributes().end()) return std::string(tag);
  std::string out;
  size_t copied = 0;
  while (at < tag.size()) {
    while (at < tag.size() && (blank(tag[at]) || tag[at] == '/')) ++at;
    if (at >= tag.size() || tag[at] == '>') break;
    size_t from = at;
    while (at < tag.size() && !blank(tag[at]) && tag[at] != '=' && tag[at] != '>' && tag[at] != '/') ++at;
    if (at == from) {
      ++at;  // a stray '='
      continue;
    }
    std::string attribute = lower(tag.substr(from, at - from));
    while (at < tag.size() && blank(tag[at])) ++at;
    if (at >= tag.size() || tag[at] != '=') continue;
    ++at;
    while (at < tag.size() && blank(tag[at])) ++at;
    if (at >= tag.size()) break;
    char quote = tag[at] == '"' || tag[at] == '\'' ? tag[at] : '\0';
    size_t value_from = quote != 0 ? at + 1 : at;
    size_t value_end = value_from;
    if (quote != 0) {
      value_end = tag.find(quote, value_from);
      if (value_end == std::string_view::npos) break;
      at = value_end + 1;
    } else {
      while (value_end < tag.size() && !blank(tag[value_end]) && tag[value_end] != '>') ++value_end;
      at = value_end;
    }
    if (!known->second.contains(attribute)) continue;
    std::string_view value = tag.substr(value_from, value_end - value_from);
    std::string link = link_(value);
    if (link == value) continue;
    out += tag.substr(copied, value_from - copied);
    out += quoted(link);
    copied = value_end;
  }
  out += tag.substr(copied);
  return out;
}

// One step forward in held_; false when more has to come first.
bool HtmlRewriter::step(std::string& out) {
  auto pass = [&](size_t n) {
    out.append(held_, 0, n);
    held_.erase(0, n);
    return !held_.empty();
  };
  if (held_.empty()) return false;
  if (broken_) return pass(held_.size());
  if (comment_) {
    size_t end = held_.find("-->");
    if (end == std::string::npos) {
      if (held_.size() > 2) (void)pass(held_.size() - 2);
      return false;
    }
    comment_ = false;
    return pass(end + 3);
  }
  if (!raw_until_.empty()) {
    size_t at = 0;
    while ((at = held_.find("</", at)) != std::string::npos) {
      if (held_.size() < at + 2 + raw_until_.size() + 1) break;
      char after = held_[at + 2 + raw_until_.size()];
      if (lower(std::string_view(held_).substr(at + 2, raw_until_.size())) == raw_until_ &&
          (blank(after) || after == '>' || after == '/')) {
        raw_until_.clear();
        return pass(at);
      }
      ++at;
    }
    size_t keep = std::min(held_.size(), raw_until_.size() + 3);
    (void)pass(at == std::string::npos ? held_.size() - keep : at);
    return false;
  }
  size_t open = held_.find('<');
  if (open == std::string::npos) return pass(held_.size());
  if (open > 0) return pass(open);
  if (held_.size() < 4 && std::string_view("<!--").starts_with(held_)) return false;
  if (held_.starts_with("<!--")) {
    comment_ = true;
    return pass(4);
  }
  char c = held_[1];
  bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  if (!letter) return pass(1);  // an end tag, a doctype, or a bare '<': nothing to change before the next '<'
  size_t end = tag_end(held_);
  if (end == std::string_view::npos) {
    if (held_.size() > kMaxTagBytes) {
      broken_ = true;
      return true;
    }
    return false;
  }
  std::string name;
  std::string tag = rewrite_tag(std::string_view(held_).substr(0, end), name);
  out += tag;
  bool closed = held_[end - 2] == '/';
  held_.erase(0, end);
  if (raw_text(name) && !closed) raw_until_ = name;
  return !held_.empty();
}

std::string HtmlRewriter::feed(std::string_view piece) {
  held_ += piece;
  std::string out;
  while (step(out)) {
  }
  return out;
}

std::string HtmlRewriter::finish() {
  return std::exchange(held_, {});
}

}  // namespace redoubt::apiserver
