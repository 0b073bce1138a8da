#include "apiserver/selectors.h"

#include <algorithm>
#include <charconv>

#include "apiserver/resources/hooks.h"

namespace redoubt::apiserver {

namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

Error unparsable(std::string_view text, std::string_view why) {
  return bad_request(fmt::format("unable to parse requirement: {} (in \"{}\")", why, text.substr(0, 200)));
}

// Splits at commas outside of parentheses.
std::vector<std::string_view> split_terms(std::string_view text) {
  std::vector<std::string_view> out;
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      out.push_back(trim(text.substr(start, i - start)));
      start = i + 1;
    } else if (text[i] == '(') {
      ++depth;
    } else if (text[i] == ')') {
      --depth;
    }
  }
  return out;
}

}  // namespace

Result<LabelSelector> LabelSelector::parse(std::string_view text) {
  LabelSelector out;
  if (trim(text).empty()) return out;
  for (std::string_view term : split_terms(text)) {
    Requirement r;
    if (term.empty()) return unparsable(text, "found ',', expected: identifier");
    if (term.front() == '!') {
      r.op = Op::NotExists;
      r.key = trim(term.substr(1));
    } else if (size_t paren = term.find('('); paren != std::string_view::npos) {
      if (term.back() != ')') return unparsable(term, "expected: ',' or ')'");
      std::string_view head = trim(term.substr(0, paren));
      size_t blank = head.find_last_of(" \t");
      if (blank == std::string_view::npos) return unparsable(term, "expected: in, notin");
      std::string_view word = head.substr(blank + 1);
      if (word != "in" && word != "notin")
        return unparsable(term, fmt::format("found '{}', expected: in, notin", word));
      r.op = word == "in" ? Op::In : Op::NotIn;
      r.key = trim(head.substr(0, blank));
      std::string_view list = term.substr(paren + 1, term.size() - paren - 2);
      while (true) {
        size_t comma = list.find(',');
        r.values.emplace_back(trim(list.substr(0, comma)));
        if (comma == std::string_view::npos) break;
        list.remove_prefix(comma + 1);
      }
    } else if (size_t at = term.find_first_of("=!<>"); at != std::string_view::npos) {
      r.key = trim(term.substr(0, at));
      std::string_view rest = term.substr(at);
      if (rest.starts_with("!=")) {
        r.op = Op::NotIn;
        rest.remove_prefix(2);
      } else if (rest.starts_with("==")) {
        r.op = Op::In;
        rest.remove_prefix(2);
      } else if (rest.starts_with('=')) {
        r.op = Op::In;
        rest.remove_prefix(1);
      } else if (rest.starts_with('>') || rest.starts_with('<')) {
        r.op = rest[0] == '>' ? Op::Greater : Op::Less;
        rest.remove_prefix(1);
      } else {
        return unparsable(term, "expected an operator");
      }
      r.values.emplace_back(trim(rest));
    } else {
      r.op = Op::Exists;
      r.key = term;
    }
    if (!is_qualified_name(r.key)) return unparsable(term, fmt::format("key: Invalid value: \"{}\"", r.key));
    for (const std::string& value : r.values) {
      if (!is_label_value(value)) return unparsable(term, fmt::format("values: Invalid value: \"{}\"", value));
    }
    out.requirements_.push_back(std::move(r));
  }
  return out;
}

bool LabelSelector::matches(const std::vector<std::pair<std::string, std::string>>& labels) const {
  for (const Requirement& r : requirements_) {
    auto it = std::find_if(labels.begin(), labels.end(), [&](const auto& l) { return l.first == r.key; });
    bool there = it != labels.end();
    bool in = there && std::find(r.values.begin(), r.values.end(), it->second) != r.values.end();
    auto number = [](const std::string& text, int64_t& into) {
      return std::from_chars(text.data(), text.data() + text.size(), into).ec == std::errc();
    };
    bool ok = false;
    switch (r.op) {
      case Op::In:
        ok = in;
        break;
      case Op::NotIn:
        ok = !in;
        break;
      case Op::Exists:
        ok = there;
        break;
      case Op::NotExists:
        ok = !there;
        break;
      case Op::Greater:
      case Op::Less: {
        int64_t a = 0, b = 0;
        ok = there && number(it->second, a) && number(r.values[0], b) && (r.op == Op::Greater ? a > b : a < b);
        break;
      }
    }
    if (!ok) return false;
  }
  return true;
}

Result<FieldSelector> FieldSelector::parse(std::string_view text) {
  FieldSelector out;
  if (trim(text).empty()) return out;
  for (std::string_view term : split_terms(text)) {
    size_t at = term.find_first_of("=!");
    if (at == std::string_view::npos)
      return bad_request(fmt::format("invalid selector: '{}'; can't understand '{}'", text, term));
    Term t;
    t.field = trim(term.substr(0, at));
    std::string_view rest = term.substr(at);
    t.equal = !rest.starts_with("!=");
    rest.remove_prefix(rest.starts_with("!=") || rest.starts_with("==") ? 2 : 1);
    t.value = trim(rest);
    out.terms_.push_back(std::move(t));
  }
  return out;
}

std::string_view FieldSelector::exact(std::string_view field) const {
  for (const Term& term : terms_) {
    if (term.equal && term.field == field) return term.value;
  }
  return {};
}

bool FieldSelector::matches(const store::Object& object) const {
  for (const Term& term : terms_) {
    std::string_view value;
    if (term.field == "metadata.name") {
      value = object.name;
    } else if (term.field == "metadata.namespace") {
      value = object.namespace_;
    } else {
      for (const auto& [field, v] : object.fields) {
        if (field == term.field) value = v;
      }
    }
    if ((value == term.value) != term.equal) return false;
  }
  return true;
}

std::vector<SelectorRequirement> LabelSelector::requirements() const {
  std::vector<SelectorRequirement> out;
  for (const Requirement& r : requirements_) {
    const char* op = r.op == Op::In          ? "In"
                     : r.op == Op::NotIn     ? "NotIn"
                     : r.op == Op::Exists    ? "Exists"
                     : r.op == Op::NotExists ? "DoesNotExist"
                                             : nullptr;
    if (op != nullptr) out.push_back({r.key, op, r.values});
  }
  return out;
}

std::vector<SelectorRequirement> FieldSelector::requirements() const {
  std::vector<SelectorRequirement> out;
  for (const Term& term : terms_) out.push_back({term.field, term.equal ? "In" : "NotIn", {term.value}});
  return out;
}

}  // namespace redoubt::apiserver
