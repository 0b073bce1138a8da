// Label and field selectors of a list or watch.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/auth/attributes.h"
#include "base/status.h"
#include "store/store.h"

namespace redoubt::apiserver {

class LabelSelector {
 public:
  // BadRequest with upstream's wording for what does not parse.
  static Result<LabelSelector> parse(std::string_view text);
  bool empty() const { return requirements_.empty(); }
  bool matches(const std::vector<std::pair<std::string, std::string>>& labels) const;
  // As authorizers see them; what they have no word for (> and <) is left out.
  std::vector<SelectorRequirement> requirements() const;

 private:
  enum class Op { In, NotIn, Exists, NotExists, Greater, Less };
  struct Requirement {
    std::string key;
    Op op;
    std::vector<std::string> values;
  };
  std::vector<Requirement> requirements_;
};

class FieldSelector {
 public:
  static Result<FieldSelector> parse(std::string_view text);
  bool empty() const { return terms_.empty(); }
  struct Term {
    std::string field, value;
    bool equal;
  };
  const std::vector<Term>& terms() const { return terms_; }
  std::vector<SelectorRequirement> requirements() const;
  bool matches(const store::Object& object) const;
  // The value that `field` must equal, or nothing.
  std::string_view exact(std::string_view field) const;

 private:
  std::vector<Term> terms_;
};

}  // namespace redoubt::apiserver
