// Where objects are kept: revisions, optimistic commits, lock-free snapshots and a log that watchers walk.
//
// One revision counter for the whole store. A stored object is an immutable record. Commits are grouped into durable
// transactions by one writer; readers load an atomic pointer and never lock. Events of a resource go into one shared,
// bounded, revision-ordered log; a watcher is a cursor with a filter. Acknowledged means durable.
// Keys follow upstream's etcd layout ("/registry/pods/default/web-1"); a resource is the prefix up to its namespace
// part.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "base/task.h"
#include "store/transformer.h"

namespace redoubt::store {

using Revision = uint64_t;

// An immutable stored object. `json` is canonical and complete: the committer puts `"resourceVersion":"N",` in when it
// assigns the revision, so that GET and LIST send the bytes as they are.
struct Object {
  std::string key;         // "/registry/pods/default/web-1"
  std::string namespace_;  // "" for cluster-scoped
  std::string name;
  std::string uid;
  Revision revision = 0;  // resourceVersion of this state
  Revision create_revision = 0;
  SealId seal = 0;  // which key its stored form was written with (transformer.h); 0: none
  Bytes json;
  // Writers hand over `json` without metadata.resourceVersion and say where the member belongs (the text after the
  // offset is another member or the closing brace of metadata); afterwards it is where that member stands.
  uint32_t resource_version_offset = 0;
  std::vector<std::pair<std::string, std::string>> labels;
  // The kind's selectable fields beyond metadata.name and metadata.namespace, e.g. {"spec.nodeName", "n1"}.
  std::vector<std::pair<std::string, std::string>> fields;
  // Forms made on demand (protobuf, Table row, watch frame), kept while the object is hot; see store/forms.h.
  mutable std::atomic<std::shared_ptr<const void>> forms;
};
using ObjectPtr = std::shared_ptr<const Object>;

// What a writer hands over: the object without its revision, or a delete.
struct Write {
  enum class Precondition : uint8_t { MustNotExist, MustMatch, Any };
  std::string resource;  // storage prefix: "pods", "services/specs", "apps/deployments" as the resource table has it
  std::string key;
  Precondition precondition = Precondition::MustNotExist;
  Revision expected = 0;           // MustMatch
  std::shared_ptr<Object> object;  // null: delete. `revision` and `create_revision` are filled by the committer
  // Delete: the final state that watchers of DELETED see (upstream sends the object with the deletion's revision).
  // Null: the stored one.
  std::shared_ptr<Object> final_state;
};

struct Committed {
  ObjectPtr object;    // as published; of a delete, the final state with the delete's revision
  ObjectPtr previous;  // null for a create
  Revision revision = 0;
};

// Why a write did not happen; the caller turns it into the API's error, which names the resource.
enum class CommitFailure : uint8_t { AlreadyExists, NotFound, Conflict, Unavailable, Encryption };
struct CommitError {
  CommitFailure failure;
  std::string message;
  ObjectPtr current;  // Conflict, AlreadyExists: what is there
};

struct Event {
  enum class Type : uint8_t { Added, Modified, Deleted };
  Type type;
  Revision revision;
  ObjectPtr object;    // Deleted: the final state
  ObjectPtr previous;  // Modified, Deleted: what it was, so that selector watches can tell ADDED from DELETED
  // The encoded frames, one for each encoding that somebody watches in; made once, shared by all watchers.
  mutable std::atomic<std::shared_ptr<const void>> frames;
};
using EventPtr = std::shared_ptr<const Event>;

// A resource's objects at one revision, ordered by key. Cheap to hold; immutable; any thread.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  virtual Revision revision() const = 0;  // the store's revision this is a view of
  virtual size_t size() const = 0;
  // Equal for two snapshots exactly when they hold the same objects at the same revisions (while either is held).
  virtual const void* identity() const = 0;
  virtual ObjectPtr find(std::string_view key) const = 0;
  // Calls `visit` for each object whose key starts with `prefix` and is >= `from` (when not empty), in key order, until
  // it gives false.
  virtual void visit(std::string_view prefix, std::string_view from,
                     const std::function<bool(const ObjectPtr&)>& visit) const = 0;
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

// A place in a resource's event log. Belongs to one task.
class Cursor {
 public:
  virtual ~Cursor() = default;
  // Up to `max` further events, waiting for the first; empty when `timeout` passed (a bookmark is due). Expired (410)
  // when the log's tail went past this cursor, after which it is dead.
  virtual Task<Result<std::vector<EventPtr>>> next(size_t max, std::chrono::milliseconds timeout) = 0;
  // The store's revision up to which everything of this resource has been returned: what a bookmark may promise.
  virtual Revision position() const = 0;
};

class Store {
 public:
  virtual ~Store() = default;
  // Checks against the newest state in memory, assigns revisions, makes it durable together with its neighbours,
  // publishes, answers on the caller's loop. Any loop.
  virtual Task<std::expected<Committed, CommitError>> commit(Write write) = 0;
  // The newest snapshot of a resource; lock-free; any thread. An unknown resource is an empty one.
  virtual SnapshotPtr snapshot(std::string_view resource) const = 0;
  // The state at exactly that revision. Expired (410) when it is no longer kept; 504 Timeout when it lies in the future
  // (too large resource version).
  virtual Result<SnapshotPtr> snapshot_at(std::string_view resource, Revision revision) const = 0;
  // A cursor that returns the events after `after`. Expired (410) when the log no longer reaches back that far.
  virtual Result<std::unique_ptr<Cursor>> watch(std::string_view resource, Revision after) = 0;
  virtual Revision current_revision() const = 0;
  // Whether an object is stored otherwise than it would be stored now (a key was changed): then a write that changes
  // nothing else is worth it.
  virtual bool stale(std::string_view resource, const Object& object) const {
    (void)resource;
    (void)object;
    return false;
  }
  // Forgets history older than `revision`: watches and lists from before it get 410.
  virtual Task<Result<void>> compact(Revision revision) = 0;
  // True once loaded, while the disk takes writes. The reason when not.
  virtual Result<void> healthy() const = 0;
};

}  // namespace redoubt::store
