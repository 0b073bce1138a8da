// Who owns whom in the whole cluster, kept small: of most objects only the 16 bytes of their uid and a hash of their
// namespace.
//
// Pure: watches put in what they see, and get back what has to be looked at. An object is kept with its name only when
// it has owners, or is being deleted in the foreground or with its dependents orphaned. An owner that lives in another
// namespace than its dependent is none: such a dependent is handed out to be looked at as if its owner were missing.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "schema/k8s/meta_v1.h"

namespace redoubt::controllers::garbage {

inline constexpr std::string_view kForeground = "foregroundDeletion";
inline constexpr std::string_view kOrphan = "orphan";

// A uid in 16 bytes: the UUID itself, or a hash of what is none.
struct Uid {
  std::array<uint64_t, 2> bits{};
  static Uid of(std::string_view text);
  bool operator==(const Uid&) const = default;
};
struct UidHash {
  size_t operator()(const Uid& u) const { return u.bits[0] ^ (u.bits[1] * 0x9e3779b97f4a7c15ULL); }
};
using UidSet = std::unordered_set<Uid, UidHash>;

struct Owner {
  Uid uid;
  bool blocks = false;  // blockOwnerDeletion
};
struct Node {
  uint32_t resource = 0;  // whatever the caller numbers its resources by
  std::string namespace_, name, uid;
  std::vector<Owner> owners;
  bool deleting_foreground = false;
  bool deleting_orphan = false;
};

// What became of a change: objects to look at, by uid.
struct Work {
  std::vector<std::string> attempt;  // may have to be deleted, or may have lost what blocked its deletion
  std::vector<std::string> orphan;   // its dependents are to be set free
};

class Graph {
 public:
  // An object as it is now.
  Work observe(uint32_t resource, const k8s::meta::v1::ObjectMeta& metadata);
  // It is gone.
  Work forget(std::string_view uid);
  // After a list of `resource`: whatever is not in `seen` went while nobody watched.
  Work keep_only(uint32_t resource, const UidSet& seen);

  // Objects one of whose owners has not been seen, or only in another namespace: what the first full view leads to.
  std::vector<std::string> with_absent_owners() const;
  const Node* find(std::string_view uid) const;
  bool present(std::string_view uid) const { return present_.contains(Uid::of(uid)); }
  std::vector<Node> dependents_of(std::string_view uid) const;
  // Those whose blockOwnerDeletion holds `uid`.
  std::vector<Node> blocking_dependents_of(std::string_view uid) const;
  size_t size() const { return present_.size(); }
  size_t kept() const { return nodes_.size(); }

 private:
  Work forget(const Uid& uid);
  void drop_node(const Uid& uid);
  void link(const Uid& dependent, const Node& node);
  // Whether `owner` has been seen where an object of that namespace may have it.
  bool owner_seen(const Uid& owner, std::string_view dependent_namespace) const;

  struct Seen {
    uint32_t resource = 0;
    uint32_t namespace_hash = 0;  // 0: cluster-scoped
  };
  std::unordered_map<Uid, Seen, UidHash> present_;
  std::unordered_map<Uid, Node, UidHash> nodes_;
  std::unordered_map<Uid, std::vector<Uid>, UidHash> dependents_;  // owner to dependents
};

}  // namespace redoubt::controllers::garbage
