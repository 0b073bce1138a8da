// Events about objects (`kubectl describe` shows them): one object for equal events, with a count.
//
// Recording never fails a caller: what can't be written is logged at debug level. Belongs to one loop.
#pragma once
#include <deque>
#include <map>
#include <string>

#include "client/client.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::client {

class EventRecorder {
 public:
  // `component` becomes source.component and reportingComponent, e.g. "node-controller".
  EventRecorder(Client& api, std::string component) : api_(api), component_(std::move(component)) {}

  // `type` is "Normal" or "Warning".
  Task<void> record(k8s::core::v1::ObjectReference about, std::string type, std::string reason, std::string message);

  // A reference to an object of the API.
  template <class T>
  static k8s::core::v1::ObjectReference about(const T& object) {
    k8s::core::v1::ObjectReference out;
    out.kind = std::string(T::kKind);
    out.apiVersion = std::string(T::kApiVersion);
    out.namespace_ = object.metadata.namespace_;
    out.name = object.metadata.name;
    out.uid = object.metadata.uid;
    out.resourceVersion = object.metadata.resourceVersion;
    return out;
  }

 private:
  struct Seen {
    std::string ns, name;
    int32_t count = 1;
  };
  Client& api_;
  std::string component_;
  std::map<std::string, Seen> seen_;
  std::deque<std::string> order_;  // oldest first; bounds seen_
};

}  // namespace redoubt::client
