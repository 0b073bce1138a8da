// The generic REST handlers: what every stored resource does, with Kubernetes' semantics of revisions, generations,
// finalizers, dry runs and selectors. What is special about a kind comes from resources/.
//
// One instance serves all loops: it has no state of its own but the store's and the allocators'.
#pragma once
#include <memory>
#include <mutex>
#include <string>

#include "apiserver/admission.h"
#include "apiserver/allocation/service_ips.h"
#include "apiserver/context.h"
#include "apiserver/encode.h"
#include "apiserver/objects.h"
#include "apiserver/selectors.h"
#include "store/store.h"

namespace redoubt::apiserver {

inline constexpr size_t kMaxBodyBytes = 3 * 1024 * 1024;  // upstream's limit of a request
inline constexpr size_t kWatchBatch = 128;

class AdmissionWebhooks;

class Rest {
 public:
  Rest(store::Store& store, const Authorizer& authorizer, Admission& admission, ServiceIps& service_ips)
      : store_(store), authorizer_(authorizer), admission_(admission), service_ips_(service_ips) {}

  // A stored object as the request asks for it. NotFound when there is none. Never waits.
  Result<Encoded> read(const Context& context) const;
  Task<void> get(Context& context);
  Task<void> list(Context& context);
  Task<void> watch(Context& context);
  Task<void> create(Context& context);
  Task<void> update(Context& context);
  Task<void> patch(Context& context);
  Task<void> remove(Context& context);
  Task<void> remove_collection(Context& context);

  // Asks webhooks too, from now on. Null: none. Before the first request.
  void use(AdmissionWebhooks* webhooks) { webhooks_ = webhooks; }

  // ---- for subresources and start-up ----
  // Webhooks on a CONNECT: the request's parameters are the object.
  Task<Result<void>> admit_connect(Context& context);
  // Webhooks on a subresource's object that is not the stored one (Eviction, Binding, Scale, TokenRequest, reviews):
  // may change it. `operation` is "CREATE" or "UPDATE"; `old` may be null.
  Task<Result<void>> admit_part(Context& context, std::string_view operation, Value old, Value& object);
  // Reads and decodes the body as the resource's type; checks apiVersion and kind; honours fieldValidation.
  Task<Result<Value>> read_object(Context& context, const schema::Type& type, std::string_view api_version,
                                  std::string_view kind);
  Result<Value> decode(Context& context, std::string_view body, const schema::Type& type, std::string_view api_version,
                       std::string_view kind);
  // The stored object as a tree in the request's version; NotFound otherwise.
  Result<std::pair<store::ObjectPtr, Value>> load(Context& context);
  // Changes the stored object by `change` (which sees and edits a copy) until no writer came in between; retries
  // conflicts.
  Task<Result<store::ObjectPtr>> modify(Context& context,
                                        std::function<Result<void>(Value& object, const Value& old)> change,
                                        bool status_only);
  Task<Result<store::ObjectPtr>> create_object(Context& context, Value object);
  Task<Result<store::ObjectPtr>> delete_object(Context& context, const store::ObjectPtr& object, const Value& options);
  bool dry_run(const Context& context, const Value& options = {}) const;
  store::Store& store() { return store_; }

 private:
  struct Write {
    std::shared_ptr<store::Object> record;
    bool unchanged = false;
    bool finished = false;  // the last finalizer of a deleted object went: it is to be removed
  };
  // Defaults, metadata, hooks and validation of an update; nothing is written.
  Result<Write> prepare_update(Context& context, Value& object, const store::ObjectPtr& current, const Value& old,
                               bool status_only);
  Task<Result<store::ObjectPtr>> write_update(Context& context, Write write, const store::ObjectPtr& current);
  Result<std::vector<store::ObjectPtr>> select(Context& context, const store::SnapshotPtr& snapshot,
                                               std::string_view from, size_t limit, bool& more, uint64_t& remaining);
  Result<void> check_selectors(const Context& context, LabelSelector& labels, FieldSelector& fields) const;

  store::Store& store_;
  const Authorizer& authorizer_;
  Admission& admission_;
  ServiceIps& service_ips_;
  AdmissionWebhooks* webhooks_ = nullptr;
};

// Whether the request is about Services, which have addresses to be given and freed.
inline bool is_service(const Context& c) {
  return c.resource->name == "services" && c.resource->group.empty();
}
Status commit_status(const store::CommitError& error, const GroupResource& resource, std::string_view name);

}  // namespace redoubt::apiserver
